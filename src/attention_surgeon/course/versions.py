"""Going back: to the stub, to the version before, to any version that was judged. What was there is kept."""

from pathlib import PurePosixPath

from attention_surgeon.course.history import Event
from attention_surgeon.course.objects import digest
from attention_surgeon.course.workspace import Workspace, given_files
from attention_surgeon.errors import OptionError


def reset(workspace: Workspace, path: PurePosixPath | str) -> str:
    """Put a file back to what the course gives and return the digest of what was there, empty if nothing was.

    Its exercises count as open again.

    Raises:
        OptionError: the course gives no such file.
        FileAccessError: something cannot be written.
    """
    content = dict(given_files(workspace.course)).get(PurePosixPath(path))
    if content is None:
        raise OptionError(f"the course gives no file {path}; `surgeon list` shows what it has.")
    before = workspace.keep(path)
    if before != digest(content):
        workspace.replace(path, content, Event(str(path), digest(content), "reset"))
    with workspace.state.changing() as state:
        state.given[str(path)] = workspace.objects.put(content)
        for exercise in workspace.course.exercises:
            if exercise.path == PurePosixPath(path) and exercise.name in state.exercises:
                state.of(exercise.name).passed = ""  # what the history and the journal say of it stays
    return before or ""


def undo(workspace: Workspace, path: PurePosixPath | str) -> str:
    """Put back the version before the present one, and return its digest.

    Raises:
        OptionError: there is none.
        FileAccessError, FileFormatError: it cannot be read or written.
    """
    now, versions = workspace.keep(path), workspace.history.versions(str(path))
    earlier = versions[:-1] if versions and versions[-1] == now else versions
    if not earlier:
        raise OptionError(f"there is no version of {path} before this one; `surgeon history` shows what there is.")
    return restore(workspace, path, earlier[-1])


def restore(workspace: Workspace, path: PurePosixPath | str, start: str) -> str:
    """Put back the version whose digest begins with `start`, and return the digest.

    Raises:
        OptionError: no version of this file, or more than one, begins so.
        FileAccessError, FileFormatError: it cannot be read or written.
    """
    known = dict.fromkeys(event.sha256 for event in workspace.history.events(str(path)))
    found = [version for version in known if version.startswith(start)]
    if len(found) != 1:
        many = f"{len(found)} versions begin" if found else "no version begins"
        raise OptionError(f"{many} with {start!r} in the history of {path}; `surgeon history` shows them.")
    content = workspace.objects.get(found[0])
    workspace.replace(path, content, Event(str(path), found[0], "undone"))
    return found[0]
