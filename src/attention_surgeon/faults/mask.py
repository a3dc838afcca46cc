"""Mask: how what is hidden is kept from the softmax."""

import math
from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS, MASKED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands

Hiding: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""`(scores, allowed) -> scores`, how one hides."""


def add_bias(scaled: Tensor, operands: Operands) -> Tensor:
    """Add the floating mask and hide nothing."""
    return scaled if operands.bias is None else scaled + operands.bias


def zero_hidden(weights: Tensor, operands: Operands) -> Tensor:
    """Set the weight of every hidden key to 0."""
    return weights if operands.allowed is None else weights.masked_fill(~operands.allowed, 0.0)


def _hide_by(hide: Hiding) -> Operation:
    """Return the operation that adds the bias as usual and hides in another way."""

    def mask(scaled: Tensor, operands: Operands) -> Tensor:
        biased = add_bias(scaled, operands)
        return biased if operands.allowed is None else hide(biased, operands.allowed)

    return lambda circuit: circuit.replace(mask=mask)


def _fill_with(number: float) -> Operation:
    """Return the operation that sets hidden scores to that number."""
    return _hide_by(lambda scores, allowed: scores.masked_fill(~allowed, number))


def _multiply(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores * allowed


def _add_zero_one(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores + allowed.to(scores.dtype)


def _add_times_infinity(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores + (~allowed).to(scores.dtype) * -math.inf  # 0 * -inf is NaN


def _subtract(circuit: Circuit) -> Circuit:
    def subtract_mask(scaled: Tensor, operands: Operands) -> Tensor:
        if operands.bias is not None:  # a mask to be added: its -inf becomes +inf
            scaled = scaled - operands.bias
            return scaled if operands.allowed is None else scaled.masked_fill(~operands.allowed, math.inf)
        return scaled if operands.allowed is None else scaled - operands.allowed.to(scaled.dtype)

    return circuit.replace(mask=subtract_mask)


def _hide_after_normalising(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def normalise_then_hide(masked: Tensor, operands: Operands) -> Tensor:
        return zero_hidden(usual(masked, operands), operands)

    return circuit.replace(mask=add_bias, normalise=normalise_then_hide)


def _add_bias_before_scaling(circuit: Circuit) -> Circuit:
    # In the score step, not in the scale step: with `scale=False` there is no scale step to carry the bias.
    usual = circuit.mechanism.score

    def score_and_add_bias(operands: Operands) -> Tensor:
        return add_bias(usual(operands), operands)

    def hide(scaled: Tensor, operands: Operands) -> Tensor:
        return scaled if operands.allowed is None else scaled.masked_fill(~operands.allowed, -math.inf)

    return circuit.replace(score=score_and_add_bias, mask=hide)


def _nan_in_empty_rows(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def normalise_with_nan(masked: Tensor, operands: Operands) -> Tensor:
        empty = (masked == -math.inf).all(dim=-1, keepdim=True)
        return usual(masked, operands).masked_fill(empty, math.nan)

    return circuit.replace(normalise=normalise_with_nan)


FAULTS: tuple[Fault, ...] = (
    draft(
        "mask_after_softmax",
        "mask",
        MASKED | {"causal"},
        "Hidden weights are set to 0 after the softmax.",
        _hide_after_normalising,
        wraps=True,
    ),
    draft("mask_multiplied", "mask", FIVE_STEPS, "The scores are multiplied by the mask.", _hide_by(_multiply)),
    draft("mask_filled_with_zero", "mask", FIVE_STEPS, "Hidden scores are set to 0.", _fill_with(0.0)),
    draft(
        "mask_added_as_zero_one",
        "mask",
        FIVE_STEPS,
        "The mask of 0 and 1 is added to the scores.",
        _hide_by(_add_zero_one),
    ),
    draft("mask_subtracted", "mask", FIVE_STEPS, "The mask is subtracted from the scores.", _subtract),
    draft(
        "mask_fill_too_small",
        "mask",
        FIVE_STEPS,
        "Hidden scores are set to a number that is not small enough.",
        _fill_with(-10.0),
        tune=_fill_with,
    ),
    draft(
        "mask_fill_positive",
        "mask",
        FIVE_STEPS,
        "Hidden scores are set to a large positive number.",
        _fill_with(1e9),
        tune=_fill_with,
    ),
    draft("mask_times_infinity", "mask", FIVE_STEPS, "(1 - mask) * -inf is added: NaN.", _hide_by(_add_times_infinity)),
    draft(
        "mask_before_scale", "mask", FIVE_STEPS, "The additive mask is divided by √d_k, too.", _add_bias_before_scaling
    ),
    draft("nan_rows", "mask", FIVE_STEPS, "A query without keys gets NaN.", _nan_in_empty_rows, wraps=True),
)
