"""The exercises' checks under the name they had before `attention_surgeon.course.exercises`, for one release more.

Learners have tests in their workspaces that import from here, and teachers have courses that do.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Hand on a public name of `attention_surgeon.course.exercises`."""
    # By its name and only when asked for: `course` stands above `testing`, so no import here may reach it.
    exercises = import_module("attention_surgeon.course.exercises")
    if name not in exercises.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; see attention_surgeon.course.exercises.")
    return getattr(exercises, name)
