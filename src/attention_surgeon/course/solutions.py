"""The solutions in a workspace: closed until the exercise is passed, or asked for, which is written down.

The file is there from the beginning, where the pages say that it is, so that `cat solutions/attention.py` and
`python 01_self_attention.py` work; closed, it says how to open it.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from attention_surgeon.course.history import Event
from attention_surgeon.course.objects import digest
from attention_surgeon.course.registry import Course, Exercise
from attention_surgeon.course.state import Standing, State
from attention_surgeon.course.workspace import Workspace
from attention_surgeon.files import read_text

_CLOSED = '''"""Closed: a solution of {names}.

It opens when {each} passed. To see it before, which is written down:

    surgeon solution {first}
"""

raise SystemExit(__doc__)
'''


def solution_path(exercise: Exercise) -> PurePosixPath:
    """Return where the solution of an exercise lies in a workspace."""
    return exercise.folder / exercise.solution


def exercises_of_solution(course: Course, path: PurePosixPath) -> list[Exercise]:
    """Return the exercises that one solution file is for."""
    return [exercise for exercise in course.exercises if solution_path(exercise) == path]


def closed_solutions(course: Course) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the path of every solution, and what stands there while it is closed."""
    for path in dict.fromkeys(map(solution_path, course.exercises)):
        names = [exercise.name for exercise in exercises_of_solution(course, path)]
        each = "it is" if len(names) == 1 else "they are"
        yield path, _CLOSED.format(names=", ".join(names), each=each, first=names[0]).encode()


def open_solution(workspace: Workspace, exercise: Exercise, *, is_asked: bool) -> PurePosixPath:
    """Put the solution of an exercise into its file, and write down that it was opened.

    Args:
        workspace: The learner's.
        exercise: Whose solution.
        is_asked: Whether the learner asked for it; otherwise it opens because the exercise is passed.

    Raises:
        FileAccessError: a file cannot be read or written.
    """
    path = solution_path(exercise)
    content = read_text(exercise.content / exercise.solution).encode()
    place = workspace.root / path
    if not place.is_file() or place.read_bytes() != content:
        why = "asked" if is_asked else "passed"
        workspace.replace(path, content, Event(str(path), digest(content), "opened", exercise.name, why))
    return path


def ask_for_solution(workspace: Workspace, exercise: Exercise) -> PurePosixPath:
    """Open a solution because the learner asks for it; of an exercise that is not passed the state keeps when.

    Raises:
        FileAccessError: a file cannot be read or written.
    """
    path = open_solution(workspace, exercise, is_asked=True)
    with workspace.state.changing() as state:
        for other in exercises_of_solution(workspace.course, path):
            standing = state.of(other.name)
            if not standing.passed and not standing.solution:
                standing.solution = datetime.now().astimezone().isoformat(timespec="seconds")
    return path


def opens_now(course: Course, state: State, exercise: Exercise) -> bool:
    """Whether every exercise of the solution's file is passed."""
    others = exercises_of_solution(course, solution_path(exercise))
    return all(state.exercises.get(other.name, Standing()).passed for other in others)
