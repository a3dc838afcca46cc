"""Everything that is asked of what a learner wrote, in the order in which it is told.

First the learner's own errors, with their lines; then the numbers, which a contract or the unit's own check judges;
then what else the text of the exercise promises. A test of the learner's and the judge ask the same.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_surgeon.course.checks_file import load_checks
from attention_surgeon.course.exercises.explained import CrashError, ExplainedError
from attention_surgeon.course.exercises.promise import Promise, broken_promise
from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.crash import Crash, crash_of
from attention_surgeon.errors import ContractError, UnjudgedError
from attention_surgeon.testing import check_attention
from attention_surgeon.testing.answer import Array, errors_heard, raised
from attention_surgeon.verdict import Behaviour, Difference, Verdict

Check = Callable[..., None]

_FIRST = frozenset(
    {
        "argument_missing",
        "not_written_yet",
        "other_type",
        "other_values",
        "returns_a_tuple",
        "returns_nothing",
        "returns_too_few",
    }
)
"""Where other things come back than the text promises, their numbers say nothing."""


def promises_of(checks: Path, exercise: str) -> tuple[Promise, ...]:
    """Return what a unit's checks file promises of an exercise, in its `PROMISES`."""
    if not checks.is_file():
        return ()
    return tuple(load_checks(checks).get("PROMISES", {}).get(exercise, ()))


def by_contract(name: str) -> Check:
    """Return a check that asks what the contract of that name asks."""

    def check(target: Any, **options: Any) -> None:
        __tracebackhide__ = True
        check_attention(target, name, **options)

    return check


def ask(target: Any, check: Check, promises: Sequence[Promise], options: Mapping[str, Any]) -> None:
    """Ask everything, and raise what is told first.

    Args:
        target: The function or class.
        check: Judges the numbers.
        promises: What else its text promises.
        options: Of the check.

    Raises:
        CrashError: a line of it stops with an error.
        AssertionError: the numbers are others, or a promise is not kept.
        UnjudgedError: it cannot be called, and no promise says why.
    """
    __tracebackhide__ = True
    broken = broken_promise(promises, target)
    if broken is not None and broken.name in _FIRST:
        raise broken
    try:
        check(target, **options)
    except UnjudgedError:
        if broken is None:
            raise
    if broken is not None:
        raise broken


def verdict_on(
    target: Any,
    check: Check | None,
    contract: str,
    promises: Sequence[Promise],
    options: Mapping[str, Any],
    *,
    in_depth: bool = True,
) -> Verdict:
    """Ask everything, and return what was found.

    Args:
        target: The function or class.
        check: The unit's own, or None where the contract judges.
        contract: Its name.
        promises: What else its text promises.
        options: Of the check or the contract.
        in_depth: Whether a wrong answer to a contract is explained, which may take long where nothing was prepared.

    Raises:
        Exception: an error that is not the learner's.
    """
    with errors_heard() as errors:
        try:
            broken = broken_promise(promises, target)
            if broken is not None and broken.name in _FIRST:
                return _explained(broken)
            found = _numbers(target, check, contract, options, in_depth=in_depth)
        except CrashError as error:
            return crashed(error.crash)
    if found.status == "unjudged" or (found.status == "wrong" and not found.mistakes):
        crash = _heard_in(found, errors)
        if crash is not None:
            return crashed(crash)
        if broken is not None:
            return _explained(broken)
    return _explained(broken) if broken is not None and found.status == "right" else found


def crashed(crash: Crash) -> Verdict:
    """Return the verdict on a file whose own line stops with an error."""
    return Verdict("unjudged", reason=crash.reason, location=crash.location)


def _numbers(target: Any, check: Check | None, contract: str, options: Mapping[str, Any], *, in_depth: bool) -> Verdict:
    if check is not None:
        return _by_check(check, target, options)
    if in_depth:
        return diagnose(target, contract, **options)
    try:
        check_attention(target, contract, **options)
    except ContractError:
        return Verdict("wrong")
    except UnjudgedError as error:
        return Verdict("unjudged", reason=str(error))
    return Verdict("right")


def _by_check(check: Check, target: Any, options: Mapping[str, Any]) -> Verdict:
    try:
        check(target, **options)
    except CrashError:
        raise
    except ContractError as error:
        return diagnose(error.target, error.contract)  # type: ignore[arg-type]
    except ExplainedError as error:
        return _explained(error)
    except AssertionError as error:
        crash = crash_of(error)
        if crash is not None and not Path(crash.location.file).name.startswith("checks"):
            return crashed(crash)  # an assert of the learner's own
        return Verdict("wrong", behaviour=(Behaviour(None, str(error) or "a check of the exercise fails."),))
    return Verdict("right")


def _explained(error: ExplainedError) -> Verdict:
    yours, expected = (None if values is None else _matrix(values) for values in (error.yours, error.expected))
    difference = Difference(error.step, yours=yours, expected=expected) if error.step else None
    found = Verdict("wrong", difference=difference, location=error.location)
    if error.name is None:
        return dataclasses.replace(found, behaviour=(Behaviour(None, str(error)),))
    return dataclasses.replace(found, mistakes=(error.mistake,))


def _heard_in(found: Verdict, errors: Sequence[BaseException]) -> Crash | None:
    """Return the error of the learner's own that a verdict speaks of, None if it speaks of none."""
    told = " ".join([found.reason, *found.unnamed])
    for error in errors:
        if str(raised(error).error) in told:
            crash = crash_of(error)
            if crash is not None:
                return crash
    return None


def _matrix(values: Any) -> Array:
    """Return the numbers as they can be drawn: the first matrix of many."""
    matrix = np.atleast_2d(np.asarray(values, dtype=np.float64))
    return matrix.reshape(-1, *matrix.shape[-2:])[0]
