"""Faults with a number in them: a constant in place of √d_k, a fill that hides too little. The number is read off.

Where the weights w of a target are known, their logarithms are its scores up to a constant per row. So the factor of
the scale is the slope of log w against the raw scores, and a hidden key's fill is log w minus that row's constant.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from attention_surgeon.faults import Fault, Operation, find_fault
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.testing.answer import Answer
from attention_surgeon.testing.contract import Subject

_SMALLEST_WEIGHT = 1e-5
"""Below it a float32 weight is too rough to take the logarithm of."""

_SPREAD = 5e-3
"""How far the readings of one number may lie apart, relative to its size or to 1."""

Matrix = npt.NDArray[np.float64]


def fitted_faults(subject: Subject, probe: int) -> tuple[Fault, ...]:
    """Return the faults whose number could be read from the subject's answers; empty where there is none to read."""
    factor = _factor(subject, probe)
    if factor is None:
        return ()
    return (*_hard_coded(factor), *_fills(subject, probe, factor))


def _hard_coded(factor: float) -> Iterator[Fault]:
    fault = find_fault("scale_hard_coded")
    if fault.tune is not None:
        yield _tuned(fault, fault.tune(factor), factor)


def _fills(subject: Subject, probe: int, factor: float) -> Iterator[Fault]:
    """Yield the four ways to hide with a number: filled in or added, after or before the scale."""
    fault = find_fault("mask_fill_too_small")
    for case in subject.cases(probe):
        allowed = subject.allowed(case)
        found = _logarithms(subject, case)
        if allowed is None or found is None:
            continue
        logs, scores = found
        hidden = ~allowed & np.isfinite(logs)
        if not hidden.any() or np.isneginf(logs[~allowed]).any():
            return
        constant = _row_means(logs - factor * scores, allowed & np.isfinite(logs))
        filled, added = (logs - constant)[hidden], (logs - constant - factor * scores)[hidden]
        if _is_one_number(filled):
            number = float(filled.mean())
            yield _tuned(fault, _fill(number), number)
            yield _tuned(fault, _fill_raw(number / factor), number / factor)
        if _is_one_number(added):
            number = float(added.mean())
            yield _tuned(fault, _add(number), number)
            yield _tuned(fault, _add_raw(number / factor), number / factor)
        return


def _factor(subject: Subject, probe: int) -> float | None:
    factors = (factor_of(subject, case) for case in subject.cases(probe) if subject.asks_for_scale(case))
    return next((factor for factor in factors if factor), None)


def factor_of(subject: Subject, case: Any) -> float | None:
    """Return the slope of the subject's log weights against the raw scores, or None where they lie on no line."""
    found, allowed = _logarithms(subject, case), subject.allowed(case)
    if found is None:
        return None
    usable = np.isfinite(found[0]) if allowed is None else np.isfinite(found[0]) & allowed
    logs, scores = (_centred(x, usable) for x in found)
    x, y = scores[usable], logs[usable]
    if len(x) < 3 or not (x**2).sum():
        return None
    slope = float((x * y).sum() / (x**2).sum())
    is_line = np.abs(y - slope * x).max() <= _SPREAD * max(1.0, float(np.abs(y).max()))
    return slope if is_line else None


def _logarithms(subject: Subject, case: Any) -> tuple[Matrix, Matrix] | None:
    """Return the log weights of the subject (-inf where a weight is too small to read) and the raw scores."""
    answer: Answer = subject.ask(case)
    weights, steps = subject.weights_of(answer, case), subject.steps(subject.base, case)
    if weights is None or steps is None or weights.shape != tuple(steps.scores.shape) or weights.min() < -1e-3:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(weights > _SMALLEST_WEIGHT, np.log(np.maximum(weights, 0.0)), -np.inf)
    return logs, steps.scores.double().numpy()


def _centred(x: Matrix, counted: npt.NDArray[np.bool_]) -> Matrix:
    """Subtract from each row the mean of the entries that count."""
    return x - _row_means(x, counted)


def _row_means(x: Matrix, counted: npt.NDArray[np.bool_]) -> Matrix:
    return np.where(counted, x, 0.0).sum(-1, keepdims=True) / np.maximum(counted.sum(-1, keepdims=True), 1)


def _is_one_number(readings: Matrix) -> bool:
    middle = float(readings.mean())
    return math.isfinite(middle) and float(np.abs(readings - middle).max()) <= _SPREAD * max(1.0, abs(middle))


def _tuned(fault: Fault, operation: Operation, number: float) -> Fault:
    return dataclasses.replace(fault, operate=operation, summary=f"{fault.summary} (here: {number:.4g})")


def _fill(number: float) -> Operation:
    def fill(scaled: Tensor, operands: Operands) -> Tensor:
        return _biased(scaled, operands).masked_fill(_hidden(scaled, operands), number)

    return lambda circuit: circuit.replace(mask=fill)


def _add(number: float) -> Operation:
    def add(scaled: Tensor, operands: Operands) -> Tensor:
        return _biased(scaled, operands) + number * _hidden(scaled, operands)

    return lambda circuit: circuit.replace(mask=add)


def _fill_raw(number: float) -> Operation:
    def operate(circuit: Circuit) -> Circuit:
        score = circuit.mechanism.score
        return circuit.replace(
            score=lambda operands: score(operands).masked_fill(_hidden(score(operands), operands), number), mask=_biased
        )

    return operate


def _add_raw(number: float) -> Operation:
    def operate(circuit: Circuit) -> Circuit:
        score = circuit.mechanism.score
        return circuit.replace(
            score=lambda operands: score(operands) + number * _hidden(score(operands), operands), mask=_biased
        )

    return operate


def _biased(scaled: Tensor, operands: Operands) -> Tensor:
    return scaled if operands.bias is None else scaled + operands.bias


def _hidden(scores: Tensor, operands: Operands) -> Tensor:
    if operands.allowed is None:
        return scores.new_zeros(()).bool()
    return ~operands.allowed.expand(scores.shape)
