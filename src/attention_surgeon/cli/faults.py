"""`surgeon faults`: the catalogue of mistakes, and one page for each."""

from pathlib import Path
from typing import Annotated

import typer


def faults(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of them: everything that is known about it.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only those of one stage: scale, mask, heads, ...")
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="FAMILY", help="Only those that it can have: attention, layer, softmax, ...")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the picture of NAME: png, svg or pdf.")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="The saved picture on dark ground.")] = False,
) -> int:
    """List the mistakes that are known, or show one of them.

    A page says what the mistake is, how it shows in training and in the numbers, where to look, the line that
    mends it, where it really happened, and draws it.
    """
    # Imported here, because it loads torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.faults_screen import print_faults

    return print_faults(name, stage=stage, family=family, as_json=json, save=save, theme="dark" if dark else "light")
