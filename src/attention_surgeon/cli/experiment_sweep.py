"""`surgeon experiment run NAME --sweep ... --seeds ...`: one experiment over many settings and seeds."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from attention_surgeon.cli.console import make_console, note, show
from attention_surgeon.cli.experiment_run import STOPPED, Request, command_of, run_screen, settings_of, value_of
from attention_surgeon.cli.live import live_table
from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.experiments import Backend, Bench, SavedRun, experiment_named
from attention_surgeon.experiments.backends_by_name import open_workers
from attention_surgeon.experiments.runs import begin_run, run_saved, unfinished_run
from attention_surgeon.experiments.sweep_config import SweepConfig, plan_sweep
from attention_surgeon.experiments.sweeps import Sweep, sweep_experiment


@dataclass(frozen=True)
class SweepRequest:
    """What more stood on the command line of a sweep."""

    axes: tuple[str, ...]
    seeds: int | None
    jobs: int | None
    backend: str
    address: str | None

    @property
    def is_wanted(self) -> bool:
        """Whether this is a sweep.

        Raises:
            OptionError: it is none, but options of one are given.
        """
        if self.axes or self.seeds is not None:
            return True
        if self.jobs is not None or self.backend != "local" or self.address is not None:
            raise OptionError(
                "--jobs, --backend and --address are for sweeps: add --sweep NAME=VALUE,VALUE or --seeds N."
            )
        return False


def run_sweep(request: Request, wanted: SweepRequest) -> int:
    """Run it, show what was found, and return the exit code.

    Raises:
        SurgeonError: as `experiments.sweep`.
    """
    experiment = experiment_named(request.name)
    config = plan_sweep(
        request.name,
        dict(_axes(wanted.axes)),
        num_seeds=1 if wanted.seeds is None else wanted.seeds,
        is_quick=request.is_quick,
        settings=settings_of(experiment, request),
    )
    backend = Backend(wanted.backend, wanted.address, wanted.jobs)
    saved = _work(config, backend, request, sweep_command_of(request, wanted))
    console = make_console()
    show(run_screen(saved, console.width), console)
    return 0


def sweep_command_of(request: Request, wanted: SweepRequest) -> str:
    """Return the command that makes the same again, on this machine."""
    words = [word for axis in wanted.axes for word in ("--sweep", axis)]
    words += [] if wanted.seeds is None else ["--seeds", str(wanted.seeds)]
    return f"{command_of(request)} {shlex.join(words)}"


def _work(config: SweepConfig, backend: Backend, request: Request, command: str) -> SavedRun:
    note(f"{sum(1 for _ in config.points())} runs, on {backend}")
    with open_workers(backend, note) as workers:
        made = sweep_experiment(config.experiment, Sweep(request.out, workers))
        if request.resume:
            folder = unfinished_run(made, config, request.out)
            note(f"going on with {folder}")
        else:
            folder = begin_run(made, config, request.out, command)
        try:
            with live_table(made.question) as on_progress:
                return run_saved(made, config, folder, Bench(folder, on_progress, note))
        except (KeyboardInterrupt, SurgeonError) as error:
            note(f"what is done is kept in {request.out}; go on with: {command} --resume")
            if isinstance(error, KeyboardInterrupt):
                raise typer.Exit(STOPPED) from None
            raise


def _axes(given: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
    seen = set()
    for axis in given:
        name, sign, values = axis.partition("=")
        if not sign or not name:
            raise OptionError(f"--sweep {axis}: expected NAME=VALUE,VALUE, such as --sweep d_k=16,64,256.")
        if name in seen:
            raise OptionError(f"--sweep {name} stands there twice; give all its values in one: --sweep {name}=16,64.")
        seen.add(name)
        yield name, _values(values)


def _values(text: str) -> list[Any]:
    """Return the values behind `=`; each may be a list in brackets.

    >>> _values("16,64"), _values("[16,64],[256]"), _values("causal,none"), _values("")
    ([16, 64], [[16, 64], [256]], ['causal', 'none'], [])
    """
    try:
        return json.loads(f"[{text}]")
    except json.JSONDecodeError:
        return [value_of(value) for value in text.split(",")]
