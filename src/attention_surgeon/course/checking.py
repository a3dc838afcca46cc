"""The check of an exercise, as its tests call it and as the runner does: one and the same."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attention_surgeon.errors import LoadError


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
    from attention_surgeon.course.workspace import course_around

    exercise = course_around(Path.cwd()).exercise(name)
    own = None if exercise.check is None else load_check_named(exercise.checks, exercise.check)
    promises = promises_of(exercise.checks, name)
    ask(target, own or by_contract(exercise.contract), promises, exercise.options)


def load_check_named(file: Path, name: str) -> Callable[..., None]:
    """Return a function of a checks file.

    Raises:
        LoadError: the file or the function is not there.
    """
    checks = load_checks(file)
    if not callable(checks.get(name)):
        raise LoadError(f"{file} has no function {name}, which course.toml asks for.")
    return checks[name]


def load_checks(file: Path) -> dict[str, Any]:
    """Return everything in a checks file; its folder is on the path meanwhile, and not afterwards.

    Raises:
        LoadError: the file is not there.
    """
    spec = importlib.util.spec_from_file_location(f"_checks_in_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise LoadError(f"there is no {file}, which course.toml asks for.")
    module = importlib.util.module_from_spec(spec)
    with _on_path(file.parent):
        spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
