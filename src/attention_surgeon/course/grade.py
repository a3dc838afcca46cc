"""Judging a whole class: every submission in a folder of its own, several at a time.

All files are read before the first is run, and a verdict counts only if the very bytes that were read were run, so a
submission cannot change another one. What could not be judged beside others, who may have deleted its files, is judged
once more alone. Submissions run as the user who grades: where they may be malicious, let it be one who owns nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import final

from attention_surgeon.course.asking import Allowance, judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.objects import digest
from attention_surgeon.course.registry import Course, Exercise
from attention_surgeon.course.staging import staged
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.errors import FileAccessError, SurgeonError
from attention_surgeon.files import file_access_error

_LARGEST = 2**20


@final
@dataclass(frozen=True)
class Grade:
    """One exercise of one submission.

    Attributes:
        submission: The folder, as it was given.
        exercise: Its name.
        verdict: None where there is no file.
        sentence: Why there is no verdict.
    """

    submission: str
    exercise: str
    verdict: ExerciseVerdict | None
    sentence: str = ""

    @property
    def status(self) -> str:
        """The verdict's, or `missing`."""
        return "missing" if self.verdict is None else self.verdict.status


def grade(
    course: Course,
    folders: Sequence[Path],
    exercises: Sequence[Exercise] | None = None,
    allowance: Allowance | None = None,
    jobs: int | None = None,
) -> list[Grade]:
    """Return the grades of all submissions, in the order of the folders, then of the exercises.

    Args:
        course: What was to be done.
        folders: One for each submission, with the paths of a workspace.
        exercises: Those that count; None for all.
        allowance: What one file may use.
        jobs: How many submissions are judged at a time; None: one for each processor.

    Raises:
        FileAccessError: a folder is not there.
    """
    exercises = exercises or course.exercises
    read = [(str(folder), _read(folder, exercises)) for folder in folders]
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(folders)))
    judges: SimpleQueue[Judge] = SimpleQueue()
    started = [Judge() for _ in range(jobs)]
    for judge in started:
        judges.put(judge)

    def one(submission: tuple[str, Mapping[PurePosixPath, bytes]]) -> list[Grade]:
        judge = judges.get()
        try:
            return list(_graded(course, *submission, exercises, judge, allowance))
        finally:
            judges.put(judge)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            grades = [each for grades in pool.map(one, read) for each in grades]
    finally:
        for judge in started:
            judge.close()
    return grades if jobs == 1 else list(_again_alone(course, grades, dict(read), allowance))


def _again_alone(
    course: Course,
    grades: Sequence[Grade],
    read: Mapping[str, Mapping[PurePosixPath, bytes]],
    allowance: Allowance | None,
) -> Iterator[Grade]:
    """Yield the grades; those that another submission may have spoiled are made once more, each with its own judge."""
    for each in grades:
        exercise, files = course.exercise(each.exercise), read[each.submission]
        content = files.get(exercise.path)
        is_whole = each.verdict is not None and content is not None and each.verdict.sha256 == digest(content)
        if content is None or (is_whole and each.status != "stopped"):
            yield each
            continue
        with Judge() as judge:
            yield from _graded(course, each.submission, files, [exercise], judge, allowance)


def _read(folder: Path, exercises: Sequence[Exercise]) -> dict[PurePosixPath, bytes]:
    """Return the Python files of a submission in the folders of the exercises, whatever else it brings left out."""
    if not folder.is_dir():
        raise FileAccessError(f"cannot read {folder}: there is no such folder; give one for each submission.")
    found: dict[PurePosixPath, bytes] = {}
    for exercise in exercises:
        for file in sorted((folder / exercise.path).parent.glob("*.py")):
            path = PurePosixPath(file.relative_to(folder).as_posix())
            try:
                if file.is_file() and file.stat().st_size <= _LARGEST:
                    found[path] = file.read_bytes()
            except OSError as error:
                raise file_access_error("read", file, error) from error
    return found


def _graded(
    course: Course,
    name: str,
    files: Mapping[PurePosixPath, bytes],
    exercises: Sequence[Exercise],
    judge: Judge,
    allowance: Allowance | None,
) -> Iterator[Grade]:
    tests = {exercise.folder / exercise.tests for exercise in course.exercises}
    own = {path: content for path, content in files.items() if path not in tests}
    for exercise in exercises:
        if exercise.path not in files:
            yield Grade(name, exercise.name, None, f"there is no {exercise.path}, or it is larger than 1 MB")
            continue
        try:
            with staged(course, own) as root:  # anew each time: the one before may have left something
                verdict = judge_file(judge, exercise, root / exercise.path, str(exercise.path), allowance)
            yield Grade(name, exercise.name, verdict)
        except SurgeonError as error:
            yield Grade(name, exercise.name, None, str(error))
