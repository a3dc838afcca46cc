"""Judging a whole class: every submission in a folder of its own, several at a time.

All files are read before the first is run, and a verdict counts only if the very bytes that were read were run, so a
submission cannot change another one. What could not be judged beside others, who may have deleted its files, is judged
once more alone. Where judges are confined, a submission reaches no network and no file but its own; otherwise it runs
as the user who grades, and may do what that user may.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import Any, TypeAlias, final

from attention_surgeon.course.asking import Allowance, judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.grading.students import Handed, Roster
from attention_surgeon.course.objects import digest
from attention_surgeon.course.registry import Course, Exercise
from attention_surgeon.course.sandbox import Confinement
from attention_surgeon.course.staging import staged
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.course.workspace import FOLDER
from attention_surgeon.errors import FileAccessError, SurgeonError
from attention_surgeon.files import file_access_error

Files: TypeAlias = Mapping[PurePosixPath, bytes]
"""What a submission has, by its path in a workspace."""

_LARGEST = 2**20


@final
@dataclass(frozen=True)
class Grade:
    """One exercise of one submission.

    Attributes:
        exercise: What was to be done.
        verdict: None where there is no file.
        problem: Why there is no verdict.
        attempts: How many versions the learner's own workspace has judged; None: it does not say.
        late: By how much it came too late; zero where it did not, or nothing is due.
        covered_by: The name of a passed exercise that asks for the same and more, where this one is not passed.
    """

    exercise: Exercise
    verdict: ExerciseVerdict | None
    problem: str = ""
    attempts: int | None = None
    late: timedelta = timedelta()
    covered_by: str = ""

    @property
    def status(self) -> str:
        """The verdict's, `missing`, or `covered`."""
        if self.covered_by:
            return "covered"
        return "missing" if self.verdict is None else self.verdict.status

    @property
    def points(self) -> int:
        """All that the exercise is worth where it is passed or covered, otherwise none; being late costs nothing."""
        return self.exercise.points if self.is_shown else 0

    @property
    def is_shown(self) -> bool:
        """Whether it is passed, or covered by one that is."""
        return self.status in ("passed", "covered")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mistakes."""
        return () if self.verdict is None else self.verdict.names

    @property
    def sentence(self) -> str:
        """What happened, never empty."""
        if self.covered_by:
            return f"{self.covered_by} is passed, which asks for the same and more."
        if self.verdict is None:
            return self.problem
        if self.verdict.status == "passed":
            return self.exercise.passed
        found = self.verdict.found
        first = found.mistakes[0] if found.mistakes else None
        seen = "" if first is None else first.symptom or first.summary or first.name
        return self.verdict.sentence or seen or "".join(found.unnamed[:1]) or "Its answer is wrong."


@final
@dataclass(frozen=True)
class Submission:
    """Everything of one submission.

    Attributes:
        folder: As it was given.
        handed: Whose it is, when it came, how many came before it.
        grades: One for each exercise, in their order.
    """

    folder: str
    handed: Handed
    grades: tuple[Grade, ...]

    @property
    def points(self) -> int:
        """The sum of what was reached."""
        return sum(each.points for each in self.grades)

    @property
    def max_points(self) -> int:
        """The sum of what could be reached."""
        return sum(each.exercise.points for each in self.grades)

    @property
    def late(self) -> timedelta:
        """By how much the latest file came too late."""
        return max((each.late for each in self.grades), default=timedelta())

    @property
    def attempts(self) -> int | None:
        """How many times was handed in, else how many versions the workspace has judged; None: nobody says."""
        counted = [each.attempts for each in self.grades if each.attempts is not None]
        return self.handed.attempts if self.handed.attempts is not None else sum(counted) if counted else None


@final
@dataclass(frozen=True)
class Rules:
    """How a class is judged.

    Attributes:
        allowance: What one file may use.
        jobs: How many submissions are judged at a time; None: one for each processor.
        is_confined: Whether every judge is confined (see `sandbox`).
    """

    allowance: Allowance | None = None
    jobs: int | None = None
    is_confined: bool = False


def grade(
    course: Course,
    folders: Sequence[Path],
    exercises: Sequence[Exercise] | None = None,
    rules: Rules | None = None,
    roster: Roster | None = None,
) -> list[Submission]:
    """Return the grades of all submissions, in the order of the folders.

    Args:
        course: What was to be done.
        folders: One for each submission, with the paths of a workspace.
        exercises: Those that count; None for all.
        rules: How they are judged.
        roster: Whose they are, and when they were due.

    Raises:
        FileAccessError: a folder is not there.
        OptionError: judges are to be confined, and cannot be here.
    """
    exercises, rules, roster = exercises or course.exercises, rules or Rules(), roster or Roster()
    read = [_read(folder, exercises) for folder in folders]
    jobs = max(1, min(rules.jobs or os.cpu_count() or 1, len(folders)))
    with ExitStack() as judges:
        free: SimpleQueue[Judge] = SimpleQueue()
        for _ in range(jobs):
            free.put(judges.enter_context(_new_judge(course, rules)))

        def one(files: Files) -> list[Grade]:
            judge = free.get()
            try:
                return list(_graded(course, files, exercises, judge, rules))
            finally:
                free.put(judge)

        with ThreadPoolExecutor(jobs) as pool:
            found = list(pool.map(one, read))
    if jobs > 1:
        found = [list(_again_alone(course, *each, rules)) for each in zip(found, read, strict=True)]
    return [
        Submission(str(folder), roster.of(folder), tuple(_timed(folder, with_covered(grades), roster)))
        for folder, grades in zip(folders, found, strict=True)
    ]


def with_covered(grades: Sequence[Grade]) -> list[Grade]:
    """Return the grades, with what is not passed and need not be: what a passed exercise covers."""
    passed = {each.exercise.name for each in grades if each.status == "passed"}
    return [replace(each, covered_by=each.exercise.shown_in(passed)) for each in grades]


def _new_judge(course: Course, rules: Rules) -> Judge:
    return Judge(Confinement(course.folders) if rules.is_confined else None)


def _timed(folder: Path, grades: Sequence[Grade], roster: Roster) -> Iterator[Grade]:
    """Yield the grades with how late each came, and how often it was tried."""
    handed, attempts = roster.of(folder), _attempts(folder)
    for each in grades:
        at = handed.submitted or _written(folder, each)
        is_late = at is not None and roster.due is not None and at > roster.due
        late = at - roster.due if is_late and at is not None and roster.due is not None else timedelta()
        yield replace(each, late=late, attempts=attempts.get(each.exercise.name))


def _written(folder: Path, graded: Grade) -> datetime | None:
    """Return when the file that was judged was last written, in its place or handed in alone; None without one."""
    path = graded.exercise.path
    files = [file for file in (folder / path, folder / path.name) if graded.verdict is not None and file.is_file()]
    return datetime.fromtimestamp(files[0].stat().st_mtime).astimezone() if files else None


def _attempts(folder: Path) -> dict[str, int]:
    """Return what the learner's workspace says of its attempts; it is the learner's, so anything may stand there."""
    try:
        values: Any = json.loads((folder / FOLDER / "state.json").read_bytes()[:_LARGEST])
        standings = values["exercises"].items()
        return {str(name): int(standing.get("attempts", 0)) for name, standing in standings}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _again_alone(course: Course, grades: Sequence[Grade], files: Files, rules: Rules) -> Iterator[Grade]:
    """Yield the grades; those that another submission may have spoiled are made once more, each with its own judge."""
    for each in grades:
        content = files.get(each.exercise.path)
        is_whole = each.verdict is not None and content is not None and each.verdict.sha256 == digest(content)
        if content is None or (is_whole and each.status != "stopped"):
            yield each
            continue
        with _new_judge(course, rules) as judge:
            yield from _graded(course, files, [each.exercise], judge, rules)


def _read(folder: Path, exercises: Sequence[Exercise]) -> Files:
    """Return the Python files of a submission in the folders of the exercises, whatever else it brings left out."""
    if not folder.is_dir():
        raise FileAccessError(f"cannot read {folder}: there is no such folder; give one for each submission.")
    found: dict[PurePosixPath, bytes] = {}
    for exercise in exercises:
        for file in sorted((folder / exercise.path).parent.glob("*.py")):
            _take(found, PurePosixPath(file.relative_to(folder).as_posix()), file)
        is_only_one = len({other.path for other in exercises if other.path.name == exercise.path.name}) == 1
        if is_only_one and exercise.path not in found:  # a file that was handed in alone, without its folders
            _take(found, exercise.path, folder / exercise.path.name)
    return found


def _take(found: dict[PurePosixPath, bytes], path: PurePosixPath, file: Path) -> None:
    try:
        if file.is_file() and file.stat().st_size <= _LARGEST:
            found[path] = file.read_bytes()
    except OSError as error:
        raise file_access_error("read", file, error) from error


def _graded(course: Course, files: Files, exercises: Sequence[Exercise], judge: Judge, rules: Rules) -> Iterator[Grade]:
    tests = {exercise.folder / exercise.tests for exercise in course.exercises}
    own = {path: content for path, content in files.items() if path not in tests}
    for exercise in exercises:
        if exercise.path not in files:
            yield Grade(exercise, None, f"there is no {exercise.path}, or it is larger than 1 MB")
            continue
        try:
            with staged(course, own, judge.scratch) as root:  # anew each time: the one before may have left something
                verdict = judge_file(judge, exercise, root / exercise.path, str(exercise.path), rules.allowance)
            yield Grade(exercise, verdict)
        except SurgeonError as error:
            yield Grade(exercise, None, str(error))
