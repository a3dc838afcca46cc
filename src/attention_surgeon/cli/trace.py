"""`surgeon trace`: what attention does with a text, step by step."""

from pathlib import Path
from typing import Annotated

import typer


def trace(
    text: Annotated[str | None, typer.Argument(help="The text to look at; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    mask: Annotated[
        str | None,
        typer.Option(metavar="MASK", help="Who may attend to whom: none, causal, reverse, window:3 or prefix:2."),
    ] = None,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Do not divide the scores by √d_k.")] = False,
    heads: Annotated[int | None, typer.Option(metavar="N", help="Number of heads; 4 if not given.")] = None,
    head: Annotated[int, typer.Option(metavar="I", help="Which head's weights to draw, counted from 0.")] = 0,
    size: Annotated[int | None, typer.Option(metavar="N", help="Width of the vectors; 64 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw of the vectors; 0 if not given.")] = None,
    first: Annotated[int | None, typer.Option(metavar="N", help="Look at the first N tokens only.")] = None,
    json: Annotated[bool, typer.Option("--json", help='Print everything as JSON; "-inf" is a string.')] = False,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the trace to a file.")] = None,
    load: Annotated[Path | None, typer.Option(metavar="FILE", help="Print a trace that was saved.")] = None,
) -> int:
    """Show every step of attention on a text.

    Shapes, ranges, checks, and who attends to whom. The vectors are untrained: words spelt alike, or near each other,
    attend to each other. Exit code 1: a check failed.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.trace_input import Request, make_trace
    from attention_surgeon.cli.trace_screen import print_trace

    request = Request(text, file, load, mask, no_scale, heads, size, seed, first)
    made = make_trace(request)
    return print_trace(made, head=head, as_json=json, save=save)
