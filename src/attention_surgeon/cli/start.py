"""What `surgeon start` and `surgeon update` say they did."""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from attention_surgeon.cli.cells import count, text_lines
from attention_surgeon.cli.console import make_console, show
from attention_surgeon.course.start import Made
from attention_surgeon.course.workspace import Workspace

_MOST_NAMED = 6


def print_made(made: Made) -> None:
    """Print what was made, what was left alone, and what to do next."""
    console = make_console()
    show(_made_lines(made, console.width), console)


def print_updated(made: Made) -> None:
    """Print what an update did to each file."""
    console = make_console()
    show(_updated_lines(made, console.width), console)


def _made_lines(made: Made, width: int) -> Iterator[Text]:
    course = Workspace(made.root).course
    exercises = len(course.exercises)
    yield from text_lines(f"workspace {made.root}", width, "heading")
    if made.made:
        size = sum((made.root / path).stat().st_size for path in made.made)
        yield from text_lines(f"made: {count(len(made.made), 'file')}, {_kilobytes(size)}", width, indent=2)
        for unit in course.units:
            yield from text_lines(
                f"{unit.folder}/  {unit.title}: {count(len(unit.exercises), 'exercise')}, {unit.minutes} min",
                width,
                indent=4,
            )
    else:
        yield from text_lines("everything was there already; nothing was touched", width, indent=2)
    yield from _named("left alone, because you have other files of that name", made.kept, width)
    if shutil.which("uv") is None:
        told = (
            "uv is not installed here: for `uv run pytest` in the pages write `python -m pytest`, or `pip install uv`."
        )
        yield from text_lines(told, width, "quiet", indent=2)
    total = sum(unit.minutes for unit in course.units)
    yield Text("")
    yield from text_lines(f"{exercises} exercises, about {total / 60:.0f} hours. Begin with:", width)
    here = os.path.relpath(made.root, Path.cwd())
    yield Text("  surgeon watch" if here == "." else f"  cd {shlex.quote(here)} && surgeon watch", "heading")


def _updated_lines(made: Made, width: int) -> Iterator[Text]:
    parts = (
        ("new", made.made),
        ("replaced (you had not changed them)", made.updated),
        ("merged with your changes", made.merged),
        ("changed on both sides; yours stays, the new version is NAME.new beside it", made.beside),
        ("left alone, because you have other files of that name", made.kept),
        ("no longer part of the course; they stay", made.dropped),
    )
    if not any(paths for _, paths in parts):
        yield from text_lines("the workspace is up to date; nothing was touched", width)
        return
    for title, paths in parts:
        yield from _named(title, paths, width)
    yield from text_lines("every version before is kept: surgeon history, surgeon undo", width, "quiet")


def _named(title: str, paths: Sequence[str], width: int) -> Iterator[Text]:
    if paths:
        yield from text_lines(f"{title}:", width, indent=2)
    for path in paths[:_MOST_NAMED]:
        yield from text_lines(path, width, indent=4)
    if len(paths) > _MOST_NAMED:
        yield from text_lines(f"and {len(paths) - _MOST_NAMED} more", width, "quiet", indent=4)


def _kilobytes(size: int) -> str:
    return f"{max(size, 1) / 1024:.0f} kB"
