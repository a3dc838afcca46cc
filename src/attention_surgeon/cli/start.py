"""`surgeon start` and `surgeon update`: make a workspace, and bring it up to date."""

from pathlib import Path
from typing import Annotated

import typer


def start(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = Path(),
    add: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Add the units of a course.toml in this folder.")
    ] = None,
    only: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Only the units of this folder, not those that come along.")
    ] = None,
) -> None:
    """Make a workspace for the course. What is already there is never touched."""
    from attention_surgeon.cli.start_screen import print_made
    from attention_surgeon.course.start import start_workspace

    made = start_workspace(folder, (*([only] if only else []), *(add or [])), alone=only is not None)
    print_made(made)


def update() -> None:
    """Bring the workspace to the course as it is now; your changes are merged, and nothing is lost."""
    from attention_surgeon.cli.start_screen import print_updated
    from attention_surgeon.cli.workspace_here import open_here
    from attention_surgeon.course.start import update_workspace

    print_updated(update_workspace(open_here()))
