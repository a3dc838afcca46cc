"""`surgeon sweep`: the same operation on each head of a model alone, and what the text then costs."""

from pathlib import Path
from typing import Annotated

import typer

from attention_surgeon.cli.operate import FileOption, TextOption


def sweep(
    model: Annotated[str, typer.Argument(help="A folder, an id of the hub, or minilm or tiny (built in).")],
    fault: Annotated[str, typer.Option(metavar="NAME", help="What is done to each head.")] = "knock_out",
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers; all if not given.")] = None,
    heads: Annotated[str | None, typer.Option(metavar="2,5", help="Which query heads; all if not given.")] = None,
    text: TextOption = None,
    file: FileOption = None,
    window: Annotated[int, typer.Option(metavar="N", help="Tokens that are read at once.")] = 128,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results are kept; else in runs/heads/.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes on this machine.")] = 1,
    backend: Annotated[str, typer.Option(help="Where to work: local, dask or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the cluster.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Operate on each head alone and map what it costs: loss per layer and head.

    Results are kept as they come: the same command goes on where it was stopped. The folder holds the records, a table
    (heads.csv) and a picture (heads.png).
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.sweep_run import SweepRequest, run_sweep

    request = SweepRequest(model, fault, layers, heads, text, file, window, out, jobs, backend, address)
    return run_sweep(request, as_json=json)
