"""Judging one exercise, in the child process where the learner's file is run. It answers with plain data."""

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from attention_surgeon.course.checking import load_check_named, load_checks
from attention_surgeon.course.exercises import ExplainedError
from attention_surgeon.course.guard import Guard
from attention_surgeon.course.verdict import Status
from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.child.in_words import location_of_error
from attention_surgeon.diagnose.load import Target, load_target
from attention_surgeon.errors import ContractError, LoadError
from attention_surgeon.testing import check_attention
from attention_surgeon.verdict import Array, Behaviour, Difference, Verdict

Depth: TypeAlias = Literal["check", "diagnose"]
_STATUS: Mapping[str, Status] = {"right": "passed", "wrong": "mistake", "unjudged": "stopped"}


def judge(request: Mapping[str, Any], depth: Depth) -> dict[str, Any]:
    """Return what the learner's file is found to be.

    Args:
        request: `file`, `object`, `contract`, `options`, and `checks` and `check` or None.
        depth: `check` says only whether it is right, and is quick also where nothing was prepared.

    Raises:
        Exception: whatever the learner's file raises.
    """
    file = Path(request["file"])
    os.chdir(file.parent)
    guard = Guard()
    target = load_target(file, request["object"])
    _refuse_others(target, file, request["content"])
    try:
        found = _judged(target, file, request, depth)
    except Exception:
        _refuse_replaced(guard, file)  # it may be the reason
        raise
    _refuse_replaced(guard, file)
    changed = [f"it changes {name} when it is loaded; it was put back for the verdict." for name in target.changed]
    remarks = [Behaviour(None, text, is_fault=False) for text in (*changed, *guard.left_behind())]
    found = dataclasses.replace(found, behaviour=(*found.behaviour, *remarks))
    own = {"status": _STATUS[found.status], "sentence": found.reason, "sha256": target.sha256}
    return found.as_dict() | own


def _refuse_others(target: Target, file: Path, content: str) -> None:
    """Raise if what is judged is not of the learner's file.

    Raises:
        LoadError: it was imported from elsewhere.
    """
    found = inspect.unwrap(target.object)
    module = getattr(found, "__module__", None) or ""
    if module.partition(".")[0] in ("attention_surgeon", "torch", "numpy"):
        raise LoadError(f"{target.name} in {file.name} is {module}'s; what is judged must be written in {file.name}.")
    for name, other in list(sys.modules.items()):
        place = getattr(other, "__file__", None) or ""
        if place.startswith(content + os.sep) and not file.is_relative_to(content):
            raise LoadError(
                f"{file.name} imports {name} from the course's own files ({place}); write it in {file.name}."
            )


def _refuse_replaced(guard: Guard, file: Path) -> None:
    """Raise if functions that others use are not what they were.

    Raises:
        LoadError: with the first of them.
    """
    replaced = guard.replaced()
    if replaced:
        raise LoadError(
            f"{file.name} puts something else in the place of {replaced[0]}, for everybody, the judge too; "
            f"write a function of your own beside it."
        )


def _judged(target: Target, file: Path, request: Mapping[str, Any], depth: Depth) -> Verdict:
    options = request["options"]
    if request["check"] is not None:
        check = load_check_named(Path(request["checks"]), request["check"])
        return _by_check(check, target.object, options, file)
    if depth == "check":
        try:
            check_attention(target.object, request["contract"], **options)
        except ContractError:
            return Verdict("wrong")
        return Verdict("right")
    return diagnose(target.object, request["contract"], **options)


def _by_check(check: Callable[..., None], target: Any, options: Mapping[str, Any], file: Path) -> Verdict:
    try:
        check(target, **options)
    except ContractError as error:
        return diagnose(error.target, error.contract)  # type: ignore[arg-type]
    except ExplainedError as error:
        return _explained(error)
    except AssertionError as error:
        if location_of_error(error, file) is not None:
            raise  # an assert of the learner's own
        return Verdict("wrong", behaviour=(Behaviour(None, str(error) or "a check of the exercise fails."),))
    return Verdict("right")


def _explained(error: ExplainedError) -> Verdict:
    yours, expected = (None if values is None else _matrix(values) for values in (error.yours, error.expected))
    difference = Difference(error.step, yours=yours, expected=expected) if error.step else None
    if error.name is None:
        return Verdict("wrong", behaviour=(Behaviour(None, str(error)),), difference=difference)
    return Verdict("wrong", mistakes=(error.mistake,), difference=difference)


def _matrix(values: Any) -> Array:
    """Return the numbers as they can be drawn: the first matrix of many."""
    matrix = np.atleast_2d(np.asarray(values, dtype=np.float64))
    return matrix.reshape(-1, *matrix.shape[-2:])[0]


def examine_checks(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an exercise's check says of the targets that its file calls wrong and right: `WRONG` and `RIGHT`.

    Returns:
        `wrong` and `right`: for each target its name and what is amiss, empty if nothing is.
    """
    checks = load_checks(Path(request["checks"]))
    check: Any = checks[request["check"]]
    found: dict[str, Any] = {}
    for kind, is_wrong in (("wrong", True), ("right", False)):
        targets = checks.get(kind.upper(), {}).get(request["check"], ())
        found[kind] = [
            (getattr(each, "__name__", "?"), _amiss(check, each, request["options"], is_wrong)) for each in targets
        ]
    return found


def _amiss(check: Any, target: Any, options: Mapping[str, Any], is_wrong: bool) -> str:
    try:
        check(target, **options)
    except AssertionError as error:
        return "" if is_wrong else f"is valid and rejected: {error}"
    except Exception as error:  # noqa: BLE001  whatever a check raises for a target of its own file is a finding
        return f"makes the check raise {type(error).__name__}: {error}"
    return "is wrong and passes" if is_wrong else ""
