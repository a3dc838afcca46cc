"""`surgeon watch`: a verdict each time you save."""

from typing import Annotated

import typer


def watch(
    exercise: Annotated[
        str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long your file may take.")] = 10.0,
) -> int:
    """Show the current exercise and judge it each time you save its file.

    Keys: h hint, l list, n next, r reset, u undo, s see your bug trained, p predict, o the lab's page, q quit.
    """
    from attention_surgeon.cli.watch_loop import run_watch
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    return run_watch(workspace, chosen(workspace, exercise), seconds)
