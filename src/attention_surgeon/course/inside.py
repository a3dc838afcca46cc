"""Judging one exercise, in the child process where the learner's file is run. It answers with plain data."""

import dataclasses
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attention_surgeon.course.asked import crashed, promises_of, verdict_on
from attention_surgeon.course.checks_file import load_check_named, load_checks
from attention_surgeon.course.guard import Guard
from attention_surgeon.course.verdict import Status
from attention_surgeon.diagnose.crash import crash_of
from attention_surgeon.diagnose.load import Target, load_target
from attention_surgeon.errors import LoadError, SurgeonError
from attention_surgeon.verdict import Behaviour, Verdict

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
    try:
        target = load_target(file, request["object"])
    except (SurgeonError, ImportError, SyntaxError, MemoryError, EOFError):
        raise  # these have sentences of their own
    except Exception as error:
        crash = crash_of(error)
        if crash is None:
            raise
        return _as_plain(crashed(crash))
    _refuse_others(target, file, request["content"])
    try:
        check = None if request["check"] is None else load_check_named(Path(request["checks"]), request["check"])
        promises = promises_of(Path(request["checks"]), request["exercise"])
        in_depth = depth == "diagnose"
        found = verdict_on(target.object, check, request["contract"], promises, request["options"], in_depth=in_depth)
    except Exception:
        _refuse_replaced(guard, file)  # it may be the reason
        raise
    _refuse_replaced(guard, file)
    changed = [f"it changes {name} when it is loaded; it was put back for the verdict." for name in target.changed]
    remarks = [Behaviour(None, text, is_fault=False) for text in (*changed, *guard.left_behind())]
    found = dataclasses.replace(found, behaviour=(*found.behaviour, *remarks))
    return _as_plain(found) | {"sha256": target.sha256}


def _as_plain(found: Verdict) -> dict[str, Any]:
    """Return a verdict as plain data, with how the exercise stands; of an error file and line come first."""
    where, sentence = found.location, found.reason
    if where is not None and found.status == "unjudged":
        sentence = f"{Path(where.file).name}, line {where.line}: {sentence}"
    line = {} if where is None else {"line": where.line}
    return found.as_dict() | {"status": _STATUS[found.status], "sentence": sentence} | line


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
        if _is_solution(place, file):
            raise LoadError(f"{file.name} imports {name}, a solution ({place}); write it in {file.name}.")


def _is_solution(place: str, file: Path) -> bool:
    """Whether a module was loaded from an opened solution of the learner's workspace."""
    folder = Path(place).parent
    return folder.name in ("solution", "solutions") and file.parent != folder and "site-packages" not in place


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
