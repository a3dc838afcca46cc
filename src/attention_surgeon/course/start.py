"""Making a workspace, and bringing it up to date: what exists is never overwritten without a copy and a word."""

import contextlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import final

from attention_surgeon.course.history import Event
from attention_surgeon.course.load import content_folder, load_course
from attention_surgeon.course.merge import merge
from attention_surgeon.course.solutions import closed_solutions
from attention_surgeon.course.workspace import FOLDER, Workspace, given_files
from attention_surgeon.files import file_access_error, write_in_folders


@final
@dataclass
class Made:
    """What was done to the files of a workspace; every list holds paths relative to it.

    Attributes:
        root: The workspace.
        made: New files.
        kept: Files that were there before, with another content; they were left alone.
        updated: Files that the learner had not changed, in their new version.
        merged: Files that both had changed, in different lines.
        beside: Files that both had changed in the same lines: the new version lies beside, as `NAME.EXT.new`.
        dropped: Files that the course no longer has; they were left alone.
    """

    root: Path
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def start_workspace(root: Path, added: tuple[Path, ...] = (), *, alone: bool = False) -> Made:
    """Make a workspace, or add to one what is missing; nothing that exists is touched.

    Args:
        root: Its folder.
        added: Folders with a `course.toml` whose units are added.
        alone: Whether a new workspace has these units only, without the course that comes along.

    Raises:
        FileAccessError: something cannot be written.
        FileFormatError: a registry is not right.
    """
    workspace, made = Workspace(root), Made(root.absolute())
    folder = workspace.root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error("make", folder, error) from error
    with workspace.state.changing() as state:
        before = [] if alone and not state.given else state.courses
        state.courses = list(dict.fromkeys([*before, *(str(path.absolute()) for path in added)]))
        course = load_course(*(place or content_folder() for place in state.courses))
        for path, content in (*given_files(course), *closed_solutions(course)):
            key = str(path)
            if (workspace.root / path).exists():
                if key not in state.given and workspace.read(path) != content:
                    made.kept.append(key)
                elif key not in state.given:
                    state.given[key] = workspace.objects.put(content)
                continue
            if key in state.given:
                continue  # it was deleted on purpose; `surgeon reset` brings it back
            write_in_folders(workspace.root / path, content)
            state.given[key] = workspace.objects.put(content)
            made.made.append(key)
        _link_python(workspace.root)
        state.current = state.current or course.exercises[0].name
    return made


def _link_python(root: Path) -> None:
    """Let `uv run` in a workspace take the Python that made it, if that is an environment of its own."""
    link = root / ".venv"
    if sys.prefix != sys.base_prefix and not os.path.lexists(link):
        with contextlib.suppress(OSError):  # a disk or a system without links: `python -m pytest` works all the same
            link.symlink_to(sys.prefix, target_is_directory=True)


def update_workspace(workspace: Workspace) -> Made:
    """Bring the files of a workspace to the course as it is now.

    What the learner did not change is replaced; what both changed is merged line by line; where that cannot be done the
    new version is put beside. Every version before is kept and can be had back with `surgeon undo`.

    Raises:
        FileAccessError: something cannot be written.
    """
    made = Made(workspace.root)
    with workspace.state.changing() as state:
        course = load_course(*(place or content_folder() for place in state.courses))
        now = {**dict(given_files(course)), **dict(closed_solutions(course))}
        for path, content in now.items():
            _bring(workspace, path, content, state.given, made)
        made.dropped = [path for path in state.given if PurePosixPath(path) not in now]
        for path in made.dropped:
            del state.given[path]
    return made


def _bring(workspace: Workspace, path: PurePosixPath, content: bytes, given: dict[str, str], made: Made) -> None:
    key, new = str(path), workspace.objects.put(content)
    base = given.get(key)
    if base == new:
        return
    if not (workspace.root / path).exists():
        if base is None:
            write_in_folders(workspace.root / path, content)
            made.made.append(key)
        given[key] = new
        return
    yours = workspace.read(path)
    event = Event(key, new, "updated")
    if yours == content:
        pass
    elif base is None:
        made.kept.append(key)
        return
    elif yours == workspace.objects.get(base):
        workspace.replace(path, content, event)
        made.updated.append(key)
    else:
        _merge(workspace, path, base, content, made)
    given[key] = new


def _merge(workspace: Workspace, path: PurePosixPath, base: str, content: bytes, made: Made) -> None:
    texts = [_text(version) for version in (workspace.objects.get(base), content, workspace.read(path))]
    before, theirs, yours = texts
    merged = None
    if before is not None and theirs is not None and yours is not None:
        merged = merge(before, theirs, yours)
    if merged is None:
        place = path.with_name(f"{path.name}.new")  # pytest must not take it for a test
        workspace.replace(place, content, Event(str(place), workspace.objects.put(content), "updated"))
        made.beside.append(str(path))
    else:
        whole = merged.encode()
        workspace.replace(path, whole, Event(str(path), workspace.objects.put(whole), "updated"))
        made.merged.append(str(path))


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
