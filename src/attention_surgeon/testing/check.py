"""Check somebody's attention in somebody's test suite."""

import dataclasses
import inspect
import os
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from attention_surgeon.errors import ContractError, UnjudgedError
from attention_surgeon.testing.answer import RELATIVE, Answer, Array, same_numbers, tolerance_of
from attention_surgeon.testing.contract import Contract, Subject
from attention_surgeon.testing.contracts import contracts_for
from attention_surgeon.testing.steadiness import steadiness_of, surroundings_kept

NUM_PROBES = 2


def check_attention(target: Any, contract: Contract | str | None = None, **options: Any) -> None:
    """Return if an attention does what its contract asks; raise if it does not.

    Every call is made on sizes that are different primes, with ragged masks, scores of ±10⁴, a query without keys and
    more keys than queries, and compared with the oracle in float64; the target must leave its inputs alone, answer
    twice alike, keep the dtype and let the gradient through.

    Args:
        target: A function, a callable object, a class or a module.
        contract: A `Contract`, the name of one (`attention`, `multihead`, ...), or None for the one that fits such a
            target best.
        **options: Of the contract named: `mask="hide"`, `returns="weights_first"`, `scaled=False`.

    Raises:
        ContractError: an `AssertionError` that names the call, the value and the numbers that differ.
        UnjudgedError: the target cannot be called as the contract says.
        OptionError: no contract of that name, or it does not take such an option.

    >>> import torch
    >>> def attention(Q, K, V, mask=None):
    ...     scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    ...     if mask is not None:
    ...         scores = scores.masked_fill(~mask, -1e9)
    ...     return torch.softmax(scores, dim=-1) @ V
    >>> check_attention(attention)
    """
    __tracebackhide__ = True
    with surroundings_kept():
        asked, complaint = _judged(target, contracts_for(target, contract, **options))
    if complaint is not None:
        error = ContractError(
            f"{_name(target)} is not what the contract {asked.registered_name!r} asks: {complaint}",
            target=target,
            contract=asked,
        )
        command = fix_command(target, asked)
        if command:
            error.add_note(f"{command} looks for a patch")
        raise error


def fix_command(target: Any, contract: Contract) -> str:
    """Return the command that looks for a patch of a target; empty where it stands in no file under a name of its own.

    >>> fix_command(lambda Q, K, V: Q, contracts_for(lambda Q, K, V: Q)[0])
    ''
    """
    made = target if inspect.isroutine(target) or inspect.isclass(target) else type(target)
    name = getattr(made, "__qualname__", "<")
    try:
        file = inspect.getsourcefile(made)
    except TypeError:
        file = None
    if file is None or "<" in name or not os.path.isfile(file):
        return ""
    options = [
        f"--{field.name} {getattr(contract, field.name)}"
        for field in dataclasses.fields(contract)  # type: ignore[arg-type]
        if field.name in ("mask", "returns", "align", "source") and getattr(contract, field.name) != field.default
    ]
    options += ["--unscaled"] if getattr(contract, "scaled", True) is False else []
    place = os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file
    return " ".join(["surgeon fix", shlex.quote(f"{place}:{name}"), f"--contract {contract.registered_name}", *options])


def _judged(target: Any, choices: Sequence[Contract]) -> tuple[Contract, str | None]:
    """Return the contract under which the target is right; if there is none, the first that can judge it, and why not.

    Raises:
        UnjudgedError: none can, with the reason of the first.
    """
    __tracebackhide__ = True
    judged: list[tuple[Contract, str | None]] = []
    unjudged: list[UnjudgedError] = []
    for choice in choices:
        try:
            judged.append((choice, _complaint(choice.bind(target))))
        except UnjudgedError as error:
            unjudged.append(error)
    if not judged:
        raise UnjudgedError(str(unjudged[0]))  # afresh: whoever wrote a test needs the reason, not how it was found
    return next((pair for pair in judged if pair[1] is None), judged[0])


def _complaint(subject: Subject) -> str | None:
    for seen in steadiness_of(subject):
        return f"{seen.evidence}."
    for probe in range(NUM_PROBES):
        for case in subject.cases(probe):
            expected, given = subject.answer(subject.base, case), subject.ask(case)
            if expected.error is None and not subject.accepts(given, case):
                return f"in the call {case.sentence}, {_difference(subject, given, expected)}"
    return next((f"{seen.evidence}." for seen in subject.behaviour(subject.base) if seen.is_fault), None)


def _difference(subject: Subject, given: Answer, expected: Answer) -> str:
    if given.error is not None:
        return f"it raises {given.error}"
    for name, ours, theirs in zip(subject.contract.value_names, given.values, expected.values, strict=False):
        if ours is None or theirs is None or same_numbers(ours, theirs):
            continue
        if ours.shape != theirs.shape:
            return f"the {name} has shape {ours.shape}, expected {theirs.shape}."
        return _numbers(name, ours, theirs)
    return "nothing was returned where a value was expected."


def _numbers(name: str, ours: Array, theirs: Array) -> str:
    with np.errstate(invalid="ignore"):
        distance = np.where(ours == theirs, 0.0, np.nan_to_num(np.abs(ours - theirs), nan=np.inf, posinf=np.inf))
    where = tuple(int(index) for index in np.unravel_index(int(distance.argmax()), distance.shape))
    allowed = tolerance_of(theirs) + RELATIVE * np.where(np.isfinite(theirs), np.abs(theirs), 0.0)
    wrong = int((distance > allowed).sum())
    return (
        f"{wrong} of {ours.size} numbers of the {name} are wrong; the furthest, at {where}, is {ours[where]:.4g}, "
        f"expected {theirs[where]:.4g}."
    )


def _name(target: Any) -> str:
    return getattr(target, "__qualname__", type(target).__name__)
