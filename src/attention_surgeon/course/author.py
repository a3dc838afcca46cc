"""What an author wants to know before learners see a course: is it whole, and does it say the truth?"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, final

from attention_surgeon.course.asking import judge_file, request_for
from attention_surgeon.course.client import Judge
from attention_surgeon.course.generate import out_of_date
from attention_surgeon.course.registry import Course, Exercise, Unit
from attention_surgeon.course.staging import staged
from attention_surgeon.course.workspace import FOLDER, Workspace, given_files
from attention_surgeon.errors import SurgeonError

_STRAY = re.compile(r"(\.pyc|\.pyo|\.orig|\.rej|\.swp|\.bak|\.tmp|\.new|~|\.DS_Store)$")
_STRAY_FOLDERS = {"__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".surgeon"}
_FAILED = re.compile(r"^(?:FAILED|ERROR) ([^:\s]+)", re.MULTILINE)
_LONGEST_TESTS = 600


@final
@dataclass
class Findings:
    """What was checked and what was found.

    Attributes:
        counts: How many of each kind are in order.
        problems: A sentence for each that is not.
        seconds: How long each solution took to be judged, by exercise.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def good(self, what: str, number: int = 1) -> None:
        """Count something that is in order."""
        self.counts[what] = self.counts.get(what, 0) + number

    def expect(self, holds: bool, what: str, problem: str) -> None:
        """Count it, or keep the problem."""
        if holds:
            self.good(what)
        else:
            self.problems.append(problem)


def check_course(course: Course, judge: Judge, *, with_tests: bool = True, only: Sequence[Exercise] = ()) -> Findings:
    """Check everything but the catalogue, which `author_faults` does.

    Args:
        course: The course.
        judge: A warm one.
        with_tests: Whether the plain tests are run too, which takes some seconds per unit.
        only: The exercises that are judged; none: all of them.
    """
    findings = Findings()
    try:
        old = out_of_date(course)
    except SurgeonError as error:
        findings.problems.append(str(error))
        return findings
    for file in old:
        findings.problems.append(
            f"{file} is not what its source makes; run python -m attention_surgeon.course.generate"
        )
    findings.good(
        "stubs and solutions up to date", 2 * len({e.content / e.source for e in course.exercises}) - len(old)
    )
    for unit in course.units:
        _check_files(unit, findings)
    for exercise in only or course.exercises:
        _check_stub(exercise, course, judge, findings)
        _check_solution(exercise, course, judge, findings)
        _check_own_checks(exercise, judge, findings)
    if with_tests:
        _check_tests(course, findings)
    return findings


def _check_files(unit: Unit, findings: Findings) -> None:
    page = unit.content / unit.page
    findings.expect(page.is_file(), "pages", f"unit {unit.name}: there is no page {page}")
    for exercise in unit.exercises:
        tests = unit.content / exercise.tests
        findings.expect(tests.is_file(), "tests", f"{exercise.name}: there is no {tests}")
        if exercise.check is not None:
            findings.expect(exercise.checks.is_file(), "checks", f"{exercise.name}: there is no {exercise.checks}")
        findings.good("hints", len(exercise.hints))
        findings.good("minutes", exercise.minutes)
    known = {unit.content / each for e in unit.exercises for each in (e.source, e.solution, e.file, e.tests)}
    for path in sorted(unit.content.rglob("*")):
        is_hidden = bool({"sources", "solution", "solutions"} & set(path.relative_to(unit.content).parts))
        if path.is_dir():
            continue
        if _STRAY.search(path.name) or (is_hidden and path.suffix == ".py" and path not in known):
            if not _STRAY_FOLDERS & set(path.parts):
                findings.problems.append(f"{path} is a stray file: no exercise names it")
            continue
        if not _STRAY_FOLDERS & set(path.parts):
            findings.good("files")


def _check_stub(exercise: Exercise, course: Course, judge: Judge, findings: Findings) -> None:
    with staged(course, {}) as root:
        file = root / exercise.path
        verdict = judge_file(judge, exercise, file, str(exercise.path))
        findings.expect(
            verdict.status == "untouched",
            "stubs seen as not begun",
            f"{exercise.name}: the stub is {verdict.status}, expected untouched. {verdict.sentence}",
        )
        answer = judge.ask(request_for(exercise, file))
        findings.expect(answer["status"] != "passed", "stubs fail", f"{exercise.name}: the stub passes when it is run")


def _check_solution(exercise: Exercise, course: Course, judge: Judge, findings: Findings) -> None:
    with staged(course, _solutions(course)) as root:
        verdict = judge_file(judge, exercise, root / exercise.path, str(exercise.path))
    findings.seconds[exercise.name] = verdict.seconds
    said = verdict.sentence or ", ".join(verdict.names) or "; ".join(verdict.found.unnamed)
    findings.expect(
        verdict.status == "passed", "solutions pass", f"{exercise.name}: the solution is {verdict.status}: {said}"
    )
    for remark in verdict.found.remarks:
        findings.problems.append(f"{exercise.name}: the solution gets a remark: {remark}")


def _check_own_checks(exercise: Exercise, judge: Judge, findings: Findings) -> None:
    """Judge what the checks file itself calls wrong and right."""
    if exercise.check is None:
        return
    request = {**request_for(exercise, exercise.checks), "what": "examine"}
    answer: dict[str, Any] = judge.ask(request)
    if "sentence" in answer:
        findings.problems.append(f"{exercise.name}: {answer['sentence']}")
        return
    for kind in ("wrong", "right"):
        for name, problem in answer[kind]:
            what = "wrong ones rejected" if kind == "wrong" else "valid alternatives pass"
            findings.expect(not problem, f"checks: {what}", f"{exercise.name}: {name} {problem}")
    if not answer["wrong"]:
        findings.good("checks whose file has no WRONG examples")


def _check_tests(course: Course, findings: Findings) -> None:
    for title, files, is_failing in (("stub", {}, True), ("solution", _solutions(course), False)):
        for unit in course.units:
            tests = list(dict.fromkeys(exercise.tests for exercise in unit.exercises))
            with staged(course, files) as root:
                _make_workspace(root, course)
                failed, said = _run_tests(root / unit.folder, tests)
            for test in tests:
                findings.expect(
                    (test in failed) == is_failing,
                    f"tests {'fail' if is_failing else 'pass'} with the {title}",
                    f"unit {unit.name}: {test} {'passes' if is_failing else 'fails'} with the {title}. {said}",
                )


def _make_workspace(root: Path, course: Course) -> None:
    """Let the tests in a staged folder know which course they belong to."""
    (root / FOLDER).mkdir()
    with Workspace(root).state.changing() as state:
        state.courses = [str(folder) for folder in course.folders]


def _run_tests(folder: Path, tests: Sequence[str]) -> tuple[set[str], str]:
    """Return which test files fail, as the learner would run them, and the last line."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST_TESTS, check=False)
    named = {PurePosixPath(name).as_posix() for name in _FAILED.findall(done.stdout)}
    failed = {test for test in tests if any(name.endswith(test) for name in named)}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return (set(tests) if done.returncode > 1 else failed), (lines[-1] if lines else "")


def _solutions(course: Course) -> dict[PurePosixPath, bytes]:
    return {exercise.path: (exercise.content / exercise.solution).read_bytes() for exercise in course.exercises}


def workspace_size(course: Course) -> int:
    """Return how many bytes a new workspace takes."""
    return sum(len(content) for _, content in given_files(course))
