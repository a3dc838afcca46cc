"""`surgeon check`: one verdict, or all, without a screen that stays."""

from typing import Annotated

import typer


def check(
    exercise: Annotated[
        str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every exercise of the course.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, whatever the level.")] = False,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long your file may take.")] = 10.0,
) -> int:
    """Judge what you have written. Exit code 0: passed. 1: not yet. 2: it could not be judged."""
    from attention_surgeon.cli.check_screen import check_all, check_one
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    if everything:
        return check_all(workspace, seconds, as_json=json)
    return check_one(workspace, chosen(workspace, exercise), seconds, as_json=json)
