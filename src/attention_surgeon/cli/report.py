"""`surgeon report`: the main job on a text."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    text: Annotated[
        Path | None, typer.Option("--text", "-t", metavar="FILE", help="A text (UTF-8) in place of the shipped one.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to make everything.")] = Path(),
    quick: Annotated[bool, typer.Option("--quick", help="Small and fast experiments: seconds, not minutes.")] = False,
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens of the text that the heat maps show.")] = 24,
    heads: Annotated[int, typer.Option(metavar="N", help="Number of heads.")] = 4,
    image_format: Annotated[str, typer.Option("--format", metavar="KIND", help="png, svg or pdf.")] = "png",
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the experiments are kept; runs/ in --out.")
    ] = None,
) -> int:
    """Look at attention on a text, run every experiment, and put it all on one page.

    report.html holds figures, tables, verdicts and the claims of the course; pictures of the text go
    to visualizations/, and an entry is added to learning_journal.md. What stands there already is
    kept. Experiments that were run before are read, not run again; after Ctrl-C the same command goes
    on. Exit code 1: a check or an experiment failed.
    """
    # Imported here, because it loads torch and matplotlib, and `surgeon --help` must not wait for them.
    from attention_surgeon.cli.report_run import Request, make_report

    return make_report(Request(text, out, quick, tokens, heads, image_format, runs))
