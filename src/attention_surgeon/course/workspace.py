"""The learner's folder: what the course put there, what is remembered of it, and every version that was judged."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import final
from urllib.parse import quote

from attention_surgeon.course.history import Event, History
from attention_surgeon.course.load import REGISTRY, content_folder, load_course
from attention_surgeon.course.objects import Objects
from attention_surgeon.course.registry import Course, Exercise, Unit
from attention_surgeon.course.state import StateFile
from attention_surgeon.errors import FileAccessError
from attention_surgeon.files import file_access_error, write_in_folders

FOLDER = ".surgeon"
JOURNAL = "learning_journal.md"
_NEVER = {"solution", "solutions", "sources", "__pycache__"}
_PYTEST = PurePosixPath("pytest.ini")
_PYTEST_TEXT = "# So that pytest takes its settings from here, and not from a project around this folder.\n[pytest]\n"
_README = PurePosixPath("README.md")
_README_TEXT = """# {title}

{table}

Begin with `surgeon watch` in this folder: it shows an exercise and judges its file each time you save it.

| command | what it does |
|---|---|
| `surgeon list` | every exercise and how it stands |
| `surgeon hint` | says more about the present mistake: a question, where to look, the line |
| `surgeon undo`, `surgeon reset` | the version before, the file as the course gave it; nothing is ever lost |
| `surgeon journal` | what `{journal}` still asks |
| `surgeon progress` | a page of what is passed, answered and drawn |
| `surgeon update` | brings this folder to a newer course; your changes are merged |

The tests in each folder are plain pytest and say the same as `surgeon check`. `{folder}/` holds every version that was
judged; leave it where it is.
"""
_PROJECT = PurePosixPath("pyproject.toml")
_PROJECT_TEXT = """# So that `uv run` takes the Python in .venv as it is, and no project around this folder.
[project]
name = "workspace"
version = "0"
requires-python = ">=3.11"

[tool.uv]
managed = false
"""


@final
class Workspace:
    """A learner's folder.

    Attributes:
        root: The folder.
        state: What is remembered.
        history: What happened.
        objects: Every version.
    """

    def __init__(self, root: Path) -> None:
        """Open the workspace at `root`, which need not be one yet."""
        self.root = root.absolute()
        own = self.root / FOLDER
        self.history, self.objects = History(own / "history.jsonl"), Objects(own / "objects")
        self.state = StateFile(own, self.history)

    @cached_property
    def course(self) -> Course:
        """The course of this workspace, with the units that were added to it.

        Raises:
            FileAccessError, FileFormatError: as `load_course`.
        """
        return load_course(*(folder or content_folder() for folder in self.state.read().courses))

    def file(self, exercise: Exercise) -> Path:
        """Return the learner's file of an exercise."""
        return self.root / exercise.path

    def read(self, path: PurePosixPath | str) -> bytes:
        """Return the content of a file.

        Raises:
            FileAccessError: it cannot be read.
        """
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise file_access_error("read", self.root / path, error) from error

    def keep(self, path: PurePosixPath | str) -> str | None:
        """Keep the present version of a file and return its digest; None where there is no file.

        Raises:
            FileAccessError: it cannot be read, or not be kept.
        """
        return self.objects.put(self.read(path)) if (self.root / path).is_file() else None

    def replace(self, path: PurePosixPath | str, content: bytes, event: Event) -> None:
        """Put other content in the place of a file, after the present one is kept, and write the event down.

        Raises:
            FileAccessError: something cannot be written; then the file is as it was.
        """
        before = self.keep(path)
        self.objects.put(content)
        known = self.history.versions(str(path))
        if before is not None and (not known or known[-1] != before):
            self.history.add(Event(str(path), before, "judged"))
        write_in_folders(self.root / path, content)
        self.history.add(event)


def find_workspace(start: Path) -> Workspace:
    """Return the workspace around a folder.

    Raises:
        FileAccessError: there is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return Workspace(folder)
    raise FileAccessError(
        f"there is no workspace in {start} or above it; `surgeon start` makes one here, `surgeon start DIR` in DIR."
    )


def course_around(start: Path) -> Course:
    """Return the course of the workspace around a folder, or that of an author, or the one that comes along."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return Workspace(folder).course
        if (folder / REGISTRY).is_file():
            return load_course(folder)
    return load_course()


def given_files(course: Course) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield every file that a workspace gets, and what stands in it: never a source, a solution or a check.

    Raises:
        FileAccessError: one cannot be read.
    """
    yield _PYTEST, _PYTEST_TEXT.encode()
    yield _README, _readme(course).encode()
    yield _PROJECT, _PROJECT_TEXT.encode()
    for unit in course.units:
        for path in sorted(unit.content.rglob("*")):
            relative = PurePosixPath(path.relative_to(unit.content).as_posix())
            if path.is_file() and is_given(unit, relative):
                try:
                    yield unit.folder / relative, path.read_bytes()
                except OSError as error:
                    raise file_access_error("read", path, error) from error


def _readme(course: Course) -> str:
    """Return the README of a workspace."""
    rows = [
        f"| [{unit.title}]({quote(str(unit.folder / unit.page))}) | {len(unit.exercises)} | {unit.minutes} min |"
        for unit in course.units
    ]
    table = "\n".join(["| unit | exercises | time |", "|---|---|---|", *rows])
    return _README_TEXT.format(title=course.title, table=table, journal=JOURNAL, folder=FOLDER)


def is_given(unit: Unit, relative: PurePosixPath) -> bool:
    """Whether a file of a unit's folder comes into workspaces."""
    hidden = {exercise.source for exercise in unit.exercises} | {exercise.solution for exercise in unit.exercises}
    names = set(relative.parts)
    is_private = bool(names & _NEVER) or any(name.startswith(".") for name in names)
    return not is_private and str(relative) not in hidden and unit.content / relative != unit.checks
