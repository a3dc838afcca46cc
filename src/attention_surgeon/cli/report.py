"""`surgeon report`: the main job on a text."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    text: Annotated[
        Path | None, typer.Option("--text", "-t", metavar="FILE", help="A text (UTF-8) in place of the shipped one.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to make everything.")] = Path(),
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens of the text that the heat maps show.")] = 24,
    heads: Annotated[int, typer.Option(metavar="N", help="Number of heads.")] = 4,
    image_format: Annotated[str, typer.Option("--format", metavar="KIND", help="png, svg or pdf.")] = "png",
) -> int:
    """Look at attention on a text: shapes, heat maps, the scaling comparison and a journal entry.

    Pictures go to visualizations/, the entry is added to learning_journal.md; what stands there
    already is kept. Exit code 1: a check failed.
    """
    # Imported here, because it loads torch and matplotlib, and `surgeon --help` must not wait for them.
    from attention_surgeon.cli.report_screen import make_report

    return make_report(text, out, tokens, heads, image_format)
