"""The small commands of the course: hint, list, reset, history, undo, journal, progress."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Exercise: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
]


def hint(exercise: Exercise = None) -> None:
    """Say more about the present mistake: first where to look, then the line."""
    from attention_surgeon.cli.lessons_screen import print_hint
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    print_hint(workspace, chosen(workspace, exercise))


def list_exercises() -> None:
    """Show every exercise and how it stands."""
    from attention_surgeon.cli.lessons_screen import print_list
    from attention_surgeon.cli.workspace_here import open_here

    print_list(open_here())


def reset(
    exercise: Annotated[str | None, typer.Argument(metavar="[EXERCISE]", help="Its name, or any file.")] = None,
) -> None:
    """Put a file back to how the course gave it. What is there now is kept: see `surgeon undo`."""
    from attention_surgeon.cli.lessons_screen import print_reset
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_reset(workspace, path_of(workspace, exercise))


def history(exercise: Exercise = None) -> None:
    """Show every version of a file that was judged."""
    from attention_surgeon.cli.lessons_screen import print_history
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_history(workspace, path_of(workspace, exercise))


def undo(
    exercise: Exercise = None,
    to: Annotated[str | None, typer.Option(metavar="HASH", help="A version of `surgeon history`.")] = None,
) -> None:
    """Put back the version before the present one, which is kept."""
    from attention_surgeon.cli.lessons_screen import print_undo
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_undo(workspace, path_of(workspace, exercise), to)


def journal() -> None:
    """Show what your journal still asks, and the checklist, which ticks itself from what is there."""
    from attention_surgeon.cli.lessons_screen import print_journal
    from attention_surgeon.cli.workspace_here import open_here

    print_journal(open_here())


def progress(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")] = Path("progress.html"),
) -> None:
    """Write a page of what is passed and what is left; it needs no network."""
    from attention_surgeon.cli.lessons_screen import print_progress
    from attention_surgeon.cli.workspace_here import open_here

    print_progress(open_here(), out)
