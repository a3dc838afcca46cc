"""Other ways to make the same mistake: the catalogue has one operation for each fault, people have several.

Where the weights w of a target are known, their logarithms are its scores up to a constant per row. So the factor of
the scale is the slope of log w against the raw scores, and a hidden key's fill is log w minus that row's constant.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attention_surgeon.faults import Fault, Operation, find_fault, with_faults
from attention_surgeon.ops import Circuit, Linears, Operands, Steps, leave_unscaled, softmax
from attention_surgeon.testing.answer import Answer
from attention_surgeon.testing.contract import Subject

_SMALLEST_WEIGHT = 1e-5
"""Below it a float32 weight is too rough to take the logarithm of."""

_SPREAD = 5e-3
"""How far the readings of one number may lie apart, relative to its size or to 1."""

Matrix = npt.NDArray[np.float64]


def variations(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield each fault that can be made in another way, with the other operation under the same name."""
    for fault in faults:
        for operation in _OTHERS.get(fault.name, ()):
            yield dataclasses.replace(fault, operate=operation)


def _rotated_the_other_way(circuit: Circuit) -> Circuit:
    return circuit.replace(assign=lambda query, key, value: (value, query, key))


def _returns_raw_scores(circuit: Circuit) -> Circuit:
    return circuit.replace(report=lambda steps: (steps.output, steps.scores))


def _returns_masked_scores(circuit: Circuit) -> Circuit:
    return circuit.replace(report=lambda steps: (steps.output, steps.masked))


def _returns_low_masked_scores(circuit: Circuit) -> Circuit:
    def report(steps: Steps) -> tuple[Tensor, Tensor]:
        return steps.output, steps.masked.masked_fill(torch.isneginf(steps.masked), -1e9)

    return circuit.replace(report=report)


def _causal_from_the_start_without_mask(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.mask

    def mask(scaled: Tensor, operands: Operands) -> Tensor:
        if operands.allowed is not None or operands.bias is not None:
            return usual(scaled, operands)
        return scaled.masked_fill(torch.ones_like(scaled, dtype=torch.bool).triu(1), float("-inf"))

    return circuit.replace(mask=mask)


def _other_heads_are_zero(circuit: Circuit) -> Circuit:
    usual = circuit.merge

    def merge(x: Tensor) -> Tensor:
        first = torch.zeros_like(x)
        first[..., :1, :, :] = x[..., :1, :, :]
        return usual(first)

    return circuit.replace(merge=merge)


def _mean_of_heads_alone(circuit: Circuit) -> Circuit:
    return circuit.replace(merge=lambda x: x.mean(-3))


def _sum_of_heads(circuit: Circuit) -> Circuit:
    return circuit.replace(merge=lambda x: x.sum(-3))


def _chunks(order: tuple[str, ...]) -> Operation:
    meant: dict[str, str] = dict(zip(("query", "key", "value"), order, strict=True))

    def operate(circuit: Circuit) -> Circuit:
        usual = circuit.project

        def project(x: Tensor, role: str, linears: Linears) -> Tensor:
            return usual(x, meant.get(role, role), linears)

        return circuit.replace(project=project)

    return operate


def _softmax_over_each_matrix(circuit: Circuit) -> Circuit:
    return circuit.replace(normalise=lambda masked, operands: softmax(masked.flatten(-2)).reshape(masked.shape))


def _scaled_behind_the_softmax(circuit: Circuit) -> Circuit:
    scale, normalise = circuit.mechanism.scale, circuit.mechanism.normalise
    return circuit.replace(
        scale=leave_unscaled, normalise=lambda masked, operands: scale(normalise(masked, operands), operands)
    )


def _output_scaled(circuit: Circuit) -> Circuit:
    combine = circuit.mechanism.combine
    return circuit.replace(
        scale=leave_unscaled,
        combine=lambda weights, operands: combine(weights, operands) / math.sqrt(operands.key_size),
    )


def _without_root(size: Callable[[Tensor, Operands], int]) -> Operation:
    """Divide the scores by a size itself."""
    return lambda circuit: circuit.replace(scale=lambda scores, operands: scores / size(scores, operands))


def _model_width(scores: Tensor, operands: Operands) -> int:
    return operands.model_size or operands.key_size * (scores.shape[-3] if scores.ndim > 3 else 1)


def _even_weights(circuit: Circuit) -> Circuit:
    score = circuit.mechanism.score
    return circuit.replace(score=lambda operands: torch.zeros_like(score(operands)))


def _last_seen_hidden(circuit: Circuit) -> Circuit:
    """Hide the last key that may be attended to, of every query that sees more than one."""
    usual = circuit.mechanism.mask

    def mask(scaled: Tensor, operands: Operands) -> Tensor:
        if operands.allowed is None:
            return usual(scaled, operands)
        seen = operands.allowed.expand(scaled.shape)
        later = seen.flip(-1).cumsum(-1).flip(-1)  # how many are seen from here on
        return usual(scaled, dataclasses.replace(operands, allowed=seen & (later > 1)))

    return circuit.replace(mask=mask)


def _hidden_then_divided_by_columns(circuit: Circuit) -> Circuit:
    return with_faults(circuit, (find_fault("mask_after_softmax"), find_fault("renormalised_over_queries")))


def _weigh_by_low_masked_scores(circuit: Circuit) -> Circuit:
    """Leave the softmax out after a finite fill, which then weighs as it stands."""
    return circuit.replace(normalise=lambda masked, operands: masked.masked_fill(torch.isneginf(masked), -1e9))


def _combine(scores: Callable[[Circuit, Operands], Tensor]) -> Operation:
    """Combine scores with the values: the raw ones, those before the mask, or those with a low number in the mask."""

    def operate(circuit: Circuit) -> Circuit:
        def combine(weights: Tensor, operands: Operands) -> Tensor:
            return scores(circuit, operands) @ operands.value

        return circuit.replace(combine=combine)

    return operate


def _scaled(circuit: Circuit, operands: Operands) -> Tensor:
    return circuit.mechanism.scale(circuit.mechanism.score(operands), operands)


def _low_masked(circuit: Circuit, operands: Operands) -> Tensor:
    masked = circuit.mechanism.mask(_scaled(circuit, operands), operands)
    return masked.masked_fill(torch.isneginf(masked), -1e9)


def _transposed_inputs(circuit: Circuit) -> Circuit:
    usual = circuit.project

    def project(x: Tensor, role: str, linears: Linears) -> Tensor:
        if role == "output":
            return usual(x, role, linears)
        weight, bias = linears[role].weight, linears[role].bias  # pyright: ignore[reportFunctionMemberAccess]
        return x @ weight if bias is None else x @ weight + bias

    return circuit.replace(project=project)


_OTHERS: Mapping[str, tuple[Operation, ...]] = {
    "operands_rotated": (_rotated_the_other_way,),
    "scores_returned": (_returns_raw_scores, _returns_masked_scores, _returns_low_masked_scores),
    "none_mask_is_causal": (_causal_from_the_start_without_mask,),
    "first_head_only": (_other_heads_are_zero,),
    "head_outputs_averaged": (_mean_of_heads_alone, _sum_of_heads),
    "chunk_order_wrong": tuple(_chunks(order) for order in itertools.permutations(("query", "key", "value")))[1:],
    "projection_transposed": (_transposed_inputs,),
    "softmax_missing": (_weigh_by_low_masked_scores,),
    "scale_after_softmax": (_scaled_behind_the_softmax, _output_scaled),
    "scale_by_model_width": (_without_root(_model_width),),
    "scale_by_value_size": (_without_root(lambda scores, operands: operands.value.shape[-1]),),
    "scale_by_num_keys": (_without_root(lambda scores, operands: scores.shape[-1]),),
    "scale_by_num_queries": (_without_root(lambda scores, operands: scores.shape[-2]),),
    "weights_ignored": (_even_weights,),
    "padding_off_by_one": (_last_seen_hidden,),
    "softmax_over_everything": (_softmax_over_each_matrix,),
    "renormalised_over_queries": (_hidden_then_divided_by_columns,),
    "scores_combined": (
        _combine(lambda circuit, operands: circuit.mechanism.score(operands)),
        _combine(_scaled),
        _combine(_low_masked),
    ),
}


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
    said = fault.reworded(summary=f"{fault.summary} (here: {number:.4g})")
    return dataclasses.replace(said, operate=operation)


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
