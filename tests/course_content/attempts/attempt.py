"""One attempt: how it is written into the file of an exercise, and what the course says of it."""

import ast
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from attention_surgeon.course import Exercise
from attention_surgeon.course.asked import promises_of, verdict_on
from attention_surgeon.course.checks_file import load_checks
from attention_surgeon.course.source import find_definition, read_source
from attention_surgeon.verdict import Location, Verdict
from tests.course_content.exercises import course


@dataclass(frozen=True)
class Attempt:
    """What a learner writes.

    Attributes:
        exercise: Its name.
        name: Of the attempt.
        new: The whole definition, where `old` is empty; otherwise what stands in the place of `old` in the solution.
        old: A part of the solution's definition.
        mistake: By which name it must be called; empty where the name is tested elsewhere.
        breaks: The words of the stub that it does not keep.
        line: Of a crash: how the line begins.
        says: Of a crash: what must be said of it.
    """

    exercise: str
    name: str
    new: str
    old: str = ""
    mistake: str = ""
    breaks: str = ""
    line: str = ""
    says: str = ""

    def text(self) -> str:
        """Return the learner's file: the solution with this attempt in it."""
        exercise = course().exercise(self.exercise)
        solution = (exercise.content / exercise.solution).read_text(encoding="utf-8")
        node = find_definition(ast.parse(solution), exercise.object)
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        lines = solution.splitlines(keepends=True)
        before, whole, after = (
            "".join(part)
            for part in (lines[: node.lineno - 1], lines[node.lineno - 1 : node.end_lineno], lines[node.end_lineno :])
        )
        if not self.old:
            return before + self.new.strip("\n") + "\n" + after
        assert self.old in whole, f"{self.exercise}, {self.name}: the solution has changed"
        return before + whole.replace(self.old, self.new, 1) + after


@dataclass(frozen=True)
class Judged:
    """What was said of an attempt.

    Attributes:
        status: `right`, `wrong` or `stopped`.
        names: Of the mistakes.
        location: The line.
        said: All sentences.
    """

    status: str
    names: tuple[str, ...]
    location: Location | None
    said: str


def judged(attempt: Attempt, folder: Path) -> Judged:
    """Write an attempt into a folder and judge it, in this process, as the warm judge does in its child."""
    exercise = course().exercise(attempt.exercise)
    file, text = folder / Path(exercise.file).name, attempt.text()
    file.write_text(text, encoding="utf-8")
    stub, solution = (
        (exercise.content / each).read_text(encoding="utf-8") for each in (exercise.file, exercise.solution)
    )
    seen = read_source(text.encode(), file.name, exercise.object, stub, solution)
    if seen is not None:
        return Judged("stopped", (), None, f"{seen.sentence} at line {seen.line}")
    found = _verdict(exercise, file, text)
    status = {"unjudged": "stopped"}.get(found.status, found.status)
    words = [found.reason, *found.unnamed, *(each.symptom for each in found.mistakes)]
    words += [text for each in found.mistakes for text in each.seen]
    return Judged(status, found.names, found.location, " ".join(words))


def _verdict(exercise: Exercise, file: Path, text: str) -> Verdict:
    module = types.ModuleType(f"attempt_at_{exercise.name.replace('.', '_')}")
    sys.path.insert(0, str((exercise.content / exercise.solution).parent))
    try:
        exec(compile(text, str(file), "exec"), module.__dict__)
        target = getattr(module, exercise.object)
        checks = _checks(exercise.checks)
        check = None if exercise.check is None else checks[exercise.check]
        promises = tuple(checks["PROMISES"].get(exercise.name, ()))
        return verdict_on(target, check, exercise.contract, promises, exercise.options, in_depth=False)
    finally:
        sys.path.pop(0)


@cache
def _checks(file: Path) -> Mapping[str, Any]:
    assert promises_of(file, "nobody's") == ()
    return load_checks(file)
