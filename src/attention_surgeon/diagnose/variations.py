"""Other ways to make the same mistake: the catalogue has one operation for each fault, people have several."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from attention_surgeon.faults import Fault, Operation, find_fault, operate
from attention_surgeon.ops import Circuit, Linears, Operands, Steps, leave_unscaled, softmax


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
    return operate(circuit, (find_fault("mask_after_softmax"), find_fault("renormalised_over_queries")))


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
