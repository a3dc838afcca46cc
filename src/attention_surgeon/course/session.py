"""One judging and what follows from it: the version is kept, the state moves on, the journal gets its entry."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import final

from attention_surgeon.course.asking import Allowance, judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.history import Event
from attention_surgeon.course.journal import add_entry_once, exercise_entry, unit_entry
from attention_surgeon.course.objects import digest
from attention_surgeon.course.registry import Exercise, Unit
from attention_surgeon.course.since import beaten, next_level, since
from attention_surgeon.course.solutions import open_solution, opens_now
from attention_surgeon.course.state import Standing, State
from attention_surgeon.course.verdict import ExerciseVerdict, exercise_verdict_from_dict
from attention_surgeon.course.workspace import JOURNAL, Workspace
from attention_surgeon.errors import FileAccessError
from attention_surgeon.verdict import LEVELS, Level


@final
@dataclass(frozen=True)
class Judged:
    """A verdict and what it means for the learner.

    Attributes:
        verdict: What was found.
        standing: How the exercise stands now.
        since: What is better and what remains since the version before; empty where there is nothing to say.
        is_new: Whether it is passed for the first time.
        notes: What else must be said: tests that were changed, a state that could not be written.
    """

    verdict: ExerciseVerdict
    standing: Standing
    since: str = ""
    is_new: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def level(self) -> Level:
        """How much is told."""
        return LEVELS[min(self.standing.level, len(LEVELS) - 1)]


def judge_exercise(
    workspace: Workspace, judge: Judge, exercise: Exercise, allowance: Allowance | None = None
) -> Judged:
    """Judge the learner's file of an exercise and remember what was found.

    Raises:
        FileAccessError: there is no such file.
    """
    file = workspace.file(exercise)
    if not file.is_file():
        raise FileAccessError(f"there is no {exercise.path} here; `surgeon reset {exercise.name}` brings it back.")
    verdict = judge_file(judge, exercise, file, str(exercise.path), allowance)
    notes = changed_tests(workspace, exercise)
    try:
        judged = _remember(workspace, exercise, verdict)
    except FileAccessError as error:
        return Judged(verdict, Standing(), notes=(*notes, f"this verdict is not remembered: {error}"))
    return Judged(judged.verdict, judged.standing, judged.since, judged.is_new, (*notes, *judged.notes))


def changed_tests(workspace: Workspace, exercise: Exercise) -> tuple[str, ...]:
    """Return a sentence if the tests of an exercise are not those of the course."""
    path = exercise.folder / exercise.tests
    given = workspace.state.read().given.get(str(path))
    file = workspace.root / path
    if given is None or (file.is_file() and digest(file.read_bytes()) == given):
        return ()
    what = "was changed" if file.is_file() else "is gone"
    back = f"`surgeon reset {shlex.quote(str(path))}` brings the course's one back"
    return (f"{path} {what}. The verdict does not use it; {back}.",)


def last_verdict(standing: Standing) -> ExerciseVerdict | None:
    """Return the last verdict, None before there was one."""
    return None if standing.last is None else exercise_verdict_from_dict(standing.last)


def raise_level(workspace: Workspace, exercise: Exercise) -> int:
    """Tell one level more of the present mistake, and return it."""
    with workspace.state.changing() as state:
        standing = state.of(exercise.name)
        last = last_verdict(standing)
        if last is not None and last.mistakes:
            standing.level = min(standing.level + 1, len(LEVELS) - 1)
            return standing.level
        standing.hints = min(standing.hints + 1, len(exercise.hints))
        return standing.hints


def _remember(workspace: Workspace, exercise: Exercise, verdict: ExerciseVerdict) -> Judged:
    path = str(exercise.path)
    if digest(workspace.read(path)) == verdict.sha256:
        workspace.keep(path)
    with workspace.state.changing() as state:
        standing = state.of(exercise.name)
        before = last_verdict(standing)
        said = since(before, verdict)
        if before is None or before.sha256 != verdict.sha256 or before.fingerprint != verdict.fingerprint:
            _move_on(standing, before, verdict)
            event = Event(path, verdict.sha256, "judged", exercise.name, verdict.status, verdict.names)
            workspace.history.add(event)
        is_new = verdict.status == "passed" and not standing.passed
        if is_new:
            standing.passed = datetime.now().astimezone().isoformat(timespec="seconds")
        notes = _write_down(workspace, state, exercise, standing, verdict) if is_new else ()
        if is_new:
            spared = [each.name for each in workspace.course.exercises if exercise.name in each.covered_by]
            open_ones = [name for name in spared if not state.exercises.get(name, Standing()).passed]
            if open_ones:
                notes = (*notes, f"this shows what {', '.join(open_ones)} would ask again: n goes past")
        if is_new and opens_now(workspace.course, state, exercise):
            path = open_solution(workspace, exercise, is_asked=False)
            notes = (*notes, f"a solution to compare with yours is open now: {path}")
    return Judged(verdict, standing, said, is_new, (*workspace.state.notes, *notes))


def _move_on(standing: Standing, before: ExerciseVerdict | None, verdict: ExerciseVerdict) -> None:
    standing.level = next_level(standing, before, verdict)
    standing.beaten += [name for name in beaten(before, verdict) if name not in standing.beaten]
    if verdict.status != "untouched":
        standing.attempts += 1
    standing.last = verdict.as_dict()


def _write_down(
    workspace: Workspace, state: State, exercise: Exercise, standing: Standing, verdict: ExerciseVerdict
) -> tuple[str, ...]:
    """Write the journal's entries, and say where."""
    journal = workspace.root / JOURNAL
    add_entry_once(journal, exercise_entry(exercise, standing, verdict))
    unit = workspace.course.unit(exercise.unit)
    if is_done(state, unit) and unit.reflect:
        add_entry_once(journal, unit_entry(unit, datetime.now().astimezone()))
    return (f"an entry was added to {JOURNAL}",)


def is_done(state: State, unit: Unit) -> bool:
    """Whether all exercises of a unit are passed or covered, or the last one is, which tests out of it."""
    passed = passed_in(state.exercises)
    return unit.exercises[-1].name in passed or all(
        exercise.name in passed or exercise.shown_in(passed) for exercise in unit.exercises
    )


def passed_in(standings: Mapping[str, Standing]) -> frozenset[str]:
    """Return the names of what is passed."""
    return frozenset(name for name, standing in standings.items() if standing.passed)


def covered(exercises: Sequence[Exercise], standings: Mapping[str, Standing]) -> dict[str, str]:
    """Return what need not be written any more, each with the passed exercise that asks for the same and more."""
    passed = passed_in(standings)
    found = {exercise.name: exercise.shown_in(passed) for exercise in exercises}
    return {name: by for name, by in found.items() if by}


def following(exercises: Sequence[Exercise], exercise: Exercise, standings: Mapping[str, Standing]) -> Exercise | None:
    """Return the next exercise that is left, after this one; from the beginning if there is none after it.

    One is left until it is passed, or one that covers it, or the last of its unit, which tests out of all before.
    """
    last = {other.unit: other.name for other in exercises}
    passed = passed_in(standings)
    place = exercises.index(exercise)
    others = (*exercises[place + 1 :], *exercises[:place])
    return next(
        (other for other in others if not {other.name, last[other.unit]} & passed and not other.shown_in(passed)), None
    )
