"""What the tests of the content share: the course, and objects made from changed text."""

import runpy
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

from attention_surgeon.course import Course, Exercise, load_course
from attention_surgeon.course.exercises import ExplainedError
from attention_surgeon.diagnose import diagnose

CONTENT = Path(__file__).parents[2] / "course"


@cache
def course() -> Course:
    return load_course(CONTENT)


def object_in(exercise: Exercise, text: str) -> Any:
    """Run the text as the learner's file would be and return the object that is judged."""
    module = types.ModuleType(f"attempt_at_{exercise.name.replace('.', '_')}")
    sys.path.insert(0, str((exercise.content / exercise.solution).parent))
    try:
        exec(compile(text, f"{exercise.object}.py", "exec"), module.__dict__)
    finally:
        sys.path.pop(0)
    return getattr(module, exercise.object)


def names_of(exercise: Exercise, target: Any) -> tuple[str, ...] | None:
    """Return the names of the mistakes that an exercise sees, empty for one without a name, None if it is right."""
    if exercise.check is None:
        found = diagnose(target, exercise.contract, **exercise.options)
        assert found.verdict != "unjudged", found.reason
        return None if found.verdict == "right" else found.names
    try:
        runpy.run_path(str(exercise.checks))[exercise.check](target, **exercise.options)
    except ExplainedError as error:
        return () if error.name is None else (error.name,)
    return None
