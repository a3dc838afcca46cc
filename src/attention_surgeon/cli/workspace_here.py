"""What the commands of the course share: the workspace around this folder, and which exercise is meant."""

from pathlib import Path, PurePosixPath

from attention_surgeon.cli.console import note
from attention_surgeon.course import Exercise
from attention_surgeon.course.state import State
from attention_surgeon.course.workspace import Workspace, find_workspace


def open_here() -> Workspace:
    """Return the workspace around the working folder; say so if its state had to be put together again.

    Raises:
        FileAccessError: there is none.
    """
    workspace = find_workspace(Path.cwd())
    workspace.state.read()
    for text in workspace.state.notes:
        note(f"note: {text}")
    workspace.state.notes.clear()
    return workspace


def chosen(workspace: Workspace, wanted: str | None) -> Exercise:
    """Return the exercise that is meant: by its name, by its file, or the current one.

    Raises:
        OptionError: there is none of that name.
    """
    course = workspace.course
    if wanted is None:
        return current(workspace, workspace.state.read())
    given = Path(wanted).absolute()
    for exercise in course.exercises:
        if wanted == exercise.name or given == workspace.file(exercise):
            return exercise
    short = [exercise for exercise in course.exercises if exercise.name.partition(".")[2] == wanted]
    return short[0] if len(short) == 1 else course.exercise(wanted)


def current(workspace: Workspace, state: State) -> Exercise:
    """Return the exercise that is worked on; the first one if its name is not in the course any more."""
    names = {exercise.name: exercise for exercise in workspace.course.exercises}
    return names.get(state.current) or workspace.course.exercises[0]


def path_of(workspace: Workspace, wanted: str | None) -> PurePosixPath:
    """Return the file that is meant, relative to the workspace: that of an exercise, or any path.

    Raises:
        OptionError: it is neither.
    """
    if wanted is not None:
        for file in (workspace.root / wanted, Path(wanted).absolute()):
            if file.is_relative_to(workspace.root) and (file.is_file() or "/" in wanted):
                return PurePosixPath(file.relative_to(workspace.root).as_posix())
    return chosen(workspace, wanted).path
