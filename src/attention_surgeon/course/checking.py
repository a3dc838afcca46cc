"""The check of an exercise, as its tests call it and as the runner does: one and the same."""

from pathlib import Path
from typing import Any


def check_exercise(name: str, target: Any) -> None:
    """Return if `target` is what the exercise asks; raise if it is not.

    Args:
        name: Of the exercise, `basics.scores`, of the course of the workspace around this folder.
        target: The function or class.

    Raises:
        AssertionError: it is not, or it stops with an error; the text is what the learner reads.
        UnjudgedError: it cannot be called as the exercise says.
        OptionError: there is no such exercise.
    """
    __tracebackhide__ = True
    from attention_surgeon.course.asked import ask, by_contract, promises_of
    from attention_surgeon.course.checks_file import load_check_named
    from attention_surgeon.course.workspace import course_around

    exercise = course_around(Path.cwd()).exercise(name)
    own = None if exercise.check is None else load_check_named(exercise.checks, exercise.check)
    promises = promises_of(exercise.checks, name)
    ask(target, own or by_contract(exercise.contract), promises, exercise.options)
