"""From an exercise and a file to a verdict: what can be seen without running it, and what the judge finds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, final

from attention_surgeon.course.client import Judge
from attention_surgeon.course.objects import digest
from attention_surgeon.course.registry import Exercise
from attention_surgeon.course.source import imports_of, read_source
from attention_surgeon.course.verdict import ExerciseVerdict, exercise_verdict_from_dict
from attention_surgeon.files import file_access_error, read_text


@final
@dataclass(frozen=True)
class Allowance:
    """What a learner's file may use.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of processor time, whatever else the computer does meanwhile; None: only the clock counts.
        memory_bytes: On top of Python and torch.
        output_bytes: Printed.
    """

    seconds: float = 10.0
    memory_bytes: int = 2 * 2**30
    output_bytes: int = 2**20
    cpu_seconds: float | None = None


def request_for(exercise: Exercise, file: Path, allowance: Allowance | None = None) -> dict[str, Any]:
    """Return what the judge is asked about a file."""
    allowance = allowance or Allowance()
    return {
        "exercise": exercise.name,
        "file": str(file.absolute()),
        "object": exercise.object,
        "contract": exercise.contract,
        "options": json.loads(json.dumps(exercise.options)),
        "check": exercise.check,
        "checks": str(exercise.checks),
        "content": str(exercise.content),
        "imports": imports_of(read_text(exercise.content / exercise.solution)),
        **vars(allowance),
    }


def judge_file(
    judge: Judge, exercise: Exercise, file: Path, shown: str, allowance: Allowance | None = None
) -> ExerciseVerdict:
    """Return the verdict on a file.

    Args:
        judge: The warm process.
        exercise: What it should be.
        file: The learner's.
        shown: What the file is called in the verdict.
        allowance: What it may use.

    Raises:
        FileAccessError: the file cannot be read.
    """
    begun = perf_counter()
    try:
        content = file.read_bytes()
        saved = datetime.fromtimestamp(file.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except OSError as error:
        raise file_access_error("read", file, error) from error
    known: dict[str, Any] = {
        "exercise": exercise.name,
        "path": shown,
        "object": exercise.object,
        "sha256": digest(content),
        "saved": saved,
    }
    found = _seen(exercise, content, file.name) or judge.ask(request_for(exercise, file, allowance))
    return exercise_verdict_from_dict({**known, **found, "seconds": round(perf_counter() - begun, 4)})


def _seen(exercise: Exercise, content: bytes, name: str) -> Mapping[str, Any] | None:
    stub = read_text(exercise.content / exercise.file)
    solution = read_text(exercise.content / exercise.solution)
    seen = read_source(content, name, exercise.object, stub, solution)
    return None if seen is None else {"status": seen.status, "sentence": seen.sentence, "line": seen.line}
