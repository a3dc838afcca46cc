"""`surgeon scan`: statistics and a map of every head, for contexts too long to write the weights out."""

from pathlib import Path
from typing import Annotated

import typer


def scan(
    tensors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A safetensors file with query, key and, if wanted, value.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="A trace that was saved.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR|ID", help="A model: a folder, an id of the hub, minilm, tiny.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The text for the model; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers of the model; all.")] = None,
    mask: Annotated[
        str, typer.Option(metavar="MASK", help="For tensors: none, causal, reverse, window:3 or prefix:2.")
    ] = "none",
    scale: Annotated[float | None, typer.Option(metavar="X", help="For tensors: in place of 1/√d.")] = None,
    near: Annotated[int, typer.Option(metavar="N", help="How far away a key may be and still be local.")] = 1,
    resolution: Annotated[int, typer.Option(metavar="N", help="Cells along each side of the map.")] = 512,
    window: Annotated[
        str | None, typer.Option(metavar="A:B,C:D", help="Map the queries A:B and the keys C:D only.")
    ] = None,
    at_most: Annotated[
        str | None, typer.Option(metavar="TIME", help="Such as 30s or 2m; past it rows are sampled, with the error.")
    ] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Look at about N rows of each head.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Draw of the sample.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep statistics and maps in a file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything but the maps as JSON.")] = False,
) -> int:
    """Measure and map every head without writing its weights out.

    Exact, in memory that grows with the length and not with its square. Ctrl-C shows and keeps the layers that are
    done.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.scan_run import ScanRequest, run_scan

    request = ScanRequest(
        tensors, trace, model, text, file, layers, mask, scale, near, resolution, window, at_most, rows, seed, out
    )
    return run_scan(request, as_json=json)
