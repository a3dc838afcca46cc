"""The first step that differs, and the smallest call that shows it."""

from typing import Any

import numpy as np

from attention_surgeon.diagnose.variations import factor_of
from attention_surgeon.ops import Circuit
from attention_surgeon.testing.answer import same_numbers, to_array
from attention_surgeon.testing.contract import Subject
from attention_surgeon.verdict import Array, Counterexample, Difference

STEPS = ("scores", "scaled", "masked", "weights", "output")


def difference_of_circuit(subject: Subject, circuit: Circuit) -> Difference | None:
    """Return the first step in which a circuit, the explanation, parts from the right one."""
    for case in _by_size(subject):
        yours, expected = subject.steps(circuit, case), subject.steps(subject.base, case)
        if yours is None or expected is None:
            continue
        for index, step in enumerate(STEPS):
            ours, theirs = to_array(getattr(yours, step)), to_array(getattr(expected, step))
            if not same_numbers(ours, theirs):
                return Difference(step, STEPS[:index], case.sentence, *_matrices(ours, theirs))
    return difference_in_answer(subject)


def difference_in_answer(subject: Subject) -> Difference | None:
    """Return the first value that differs in what the target returns, read back to a step as far as possible."""
    for case in _by_size(subject):
        given, expected = subject.ask(case), subject.answer(subject.base, case)
        if given.error is not None or subject.accepts(given, case):
            continue
        ours, theirs = subject.weights_of(given, case), subject.weights_of(expected, case)
        if ours is not None and theirs is not None and not same_numbers(ours, theirs):
            return _difference_in_weights(subject, case, ours, theirs)
        for name, ours, theirs in zip(subject.contract.value_names, given.values, expected.values, strict=False):
            if ours is not None and theirs is not None and not same_numbers(ours, theirs):
                return Difference(name, (), case.sentence, *_matrices(ours, theirs))
    return None


def counterexample(subject: Subject) -> Counterexample | None:
    """Return the smallest call to which the target answers wrongly."""
    for case in subject.small_cases():
        given, expected = subject.ask(case), subject.answer(subject.base, case)
        if expected.error is not None or subject.accepts(given, case):
            continue
        if given.error is not None:
            assert expected.values[0] is not None
            return Counterexample(
                subject.as_code(case), subject.contract.value_names[0], given.error, expected.values[0]
            )
        for name, ours, theirs in zip(subject.contract.value_names, given.values, expected.values, strict=False):
            if ours is not None and theirs is not None and not same_numbers(ours, theirs):
                return Counterexample(subject.as_code(case), name, _last_axes(ours), _last_axes(theirs))
    return None


def _difference_in_weights(subject: Subject, case: Any, ours: Array, theirs: Array) -> Difference:
    """Say what the weights tell of the steps before them: without a mask, their logarithms may be scaled scores.

    Where a call with a mask is the first to differ, those without one were right, and so were scores and scale.
    """
    factor, steps = factor_of(subject, case), subject.steps(subject.base, case)
    if subject.allowed(case) is None and factor is not None and steps is not None:
        scaled, expected = factor * to_array(steps.scores), to_array(steps.scaled)
        if not same_numbers(scaled, expected):
            return Difference("scaled", ("scores",), case.sentence, *_matrices(scaled, expected))
    is_of_mask = subject.allowed(case) is not None and subject.allowed(_by_size(subject)[0]) is None
    return Difference("weights", ("scores", "scaled") if is_of_mask else (), case.sentence, *_matrices(ours, theirs))


def _by_size(subject: Subject) -> list[Any]:
    """Return the calls of both probes, those without a mask first, and of these the ones whose weights can be read."""
    cases = [*subject.cases(0), *subject.cases(1)]
    return sorted(cases, key=lambda case: (subject.allowed(case) is not None, not _can_be_read(subject, case)))


def _can_be_read(subject: Subject, case: Any) -> bool:
    return subject.weights_of(subject.answer(subject.base, case), case) is not None


def _matrices(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Return the first pair of matrices that differ."""
    if ours.shape != theirs.shape or ours.ndim <= 2:
        return _last_axes(ours), _last_axes(theirs)
    for index in np.ndindex(ours.shape[:-2]):
        if not same_numbers(ours[index], theirs[index]):
            return ours[index], theirs[index]
    return _last_axes(ours), _last_axes(theirs)


def _last_axes(x: Array) -> Array:
    while x.ndim > 2:
        x = x[0]
    return x
