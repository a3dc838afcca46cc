"""`surgeon experiment`: run an experiment, and read and compare what was run."""

from pathlib import Path
from typing import Annotated

import typer

experiment = typer.Typer(
    name="experiment",
    help="Break attention on purpose and measure what happens.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

_Runs = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the runs are kept.")]
_RUNS = Path("runs")


@experiment.command("list")
def list_experiments() -> int:
    """Show every experiment and the question it answers."""
    from attention_surgeon.cli.experiment import print_experiments

    return print_experiments()


@experiment.command("run")
def run(
    name: Annotated[str, typer.Argument(help="An experiment; surgeon experiment list shows them.")],
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw of everything that is random; 0.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small and fast, to see that it works.")] = False,
    text: Annotated[
        Path | None, typer.Option("--text", "-t", metavar="FILE", help="A text (UTF-8) in place of the shipped one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another setting, as often as needed.")
    ] = None,
    fault: Annotated[
        str | None, typer.Option("--name", metavar="FAULT", help="Which fault, for the experiment called fault.")
    ] = None,
    out: _Runs = _RUNS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the same run, if it was stopped.")] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="NAME=V1,V2", help="One run for each value; several give the product."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="So many seeds for each, from --seed on; 1. Shows mean and spread.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Processes of a sweep; one for each core.")] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="Where a sweep works: local, dask or ray.")] = "local",
    address: Annotated[str | None, typer.Option(metavar="URL", help="Of the cluster, such as tcp://…:8786.")] = None,
) -> int:
    """Run an experiment and keep records, figures and verdict in a folder of their own.

    The same command gives the same records, byte for byte, on the same machine. Ctrl-C keeps what is
    done; the same command with --resume goes on. With --sweep or --seeds it is run many times, on all
    cores or on a cluster.
    """
    from attention_surgeon.cli.experiment_run import Request, run_experiment
    from attention_surgeon.cli.experiment_sweep import SweepRequest, run_sweep

    chosen = () if fault is None else (f"name={fault}",)
    request = Request(name, seed, quick, text, (*(settings or ()), *chosen), out, resume)
    wanted = SweepRequest(tuple(sweep or ()), seeds, jobs, backend, address)
    return run_sweep(request, wanted) if wanted.is_wanted else run_experiment(request)


@experiment.command("show")
def show(
    run: Annotated[str, typer.Argument(help="Folder of a run, or an experiment: its newest run.")],
    out: _Runs = _RUNS,
) -> int:
    """Show what a run found."""
    from attention_surgeon.cli.experiment import show_run

    return show_run(run, out)


@experiment.command("compare")
def compare(
    first: Annotated[str, typer.Argument(help="A run, as for show.")],
    second: Annotated[str, typer.Argument(help="Another run of the same experiment.")],
    out: _Runs = _RUNS,
) -> int:
    """Show in what two runs differ: settings, versions, measurements. Exit code 1: they differ."""
    from attention_surgeon.cli.experiment import compare_runs

    return compare_runs(first, second, out)
