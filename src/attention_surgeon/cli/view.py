"""`surgeon view`: attention as one page that opens anywhere, or as a picture."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    text: Annotated[str | None, typer.Option(help="The text to look at; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Show a trace that was saved.")] = None,
    scan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show what surgeon scan --out kept: maps and statistics.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|ID", help="Run the text through a model: a folder, an id of the hub, writer, minilm, tiny."
        ),
    ] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="MASK", help="Without a model: none, causal, reverse, window:3 or prefix:2.")
    ] = None,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Without a model: do not divide by √d_k.")] = False,
    first: Annotated[
        int | None, typer.Option(metavar="N", help="Without a model: look at the first N tokens only.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Which layer a picture shows.")] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="What to write: .html for a page; .png, .svg or .pdf for a picture.")
    ] = Path("attention.html"),
    font: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="For a picture: the font that draws its letters.")
    ] = None,
    megabytes: Annotated[float, typer.Option(metavar="MB", help="The size that a page keeps to.")] = 5.0,
    open_it: Annotated[bool, typer.Option("--open", help="Open it when it is written.")] = False,
) -> int:
    """Write attention as one self-contained page, or as a picture.

    Without --model the vectors are untrained, as in surgeon trace: words spelt alike attend to each other. The page
    needs no network and no other file; it can be mailed.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.view_run import ViewRequest, run_view

    request = ViewRequest(text, file, trace, scan, model, mask, no_scale, first, layer, out, font, megabytes, open_it)
    return run_view(request)
