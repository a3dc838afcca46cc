"""Mask: how what is hidden is kept from the softmax."""

import math
from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from attention_surgeon.faults.families import FIVE_STEPS, MASKS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.verdict import Mistake, Sighting

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
    Fault(
        Mistake(
            name="mask_after_softmax",
            stage="mask",
            summary="Hidden weights are set to 0 after the softmax, so that the rest no longer sums to 1.",
            symptom="Hidden weights are 0, and rows sum to less than 1, the less the more is hidden.",
            question="Hide a key: who gets the weight that it would have had?",
            pointer=(
                "Look at the order of mask and softmax: what is hidden must be hidden before the softmax shares out "
                "the weights."
            ),
            fix='scores = scores.masked_fill(~mask, float("-inf"))\nweights = torch.softmax(scores, dim=-1)',
            sightings=(
                Sighting("huggingface/pytorch-image-models", 2236, "pull"),
                Sighting("lucidrains/memory-compressed-attention", 2),
            ),
        ),
        families=FIVE_STEPS,
        in_training=(
            "What is left of a row tells of what was hidden, and a causal model learns to read it: the loss falls "
            "far below what is possible, and what it writes is nonsense."
        ),
        operate=_hide_after_normalising,
    ),
    Fault(
        Mistake(
            name="mask_multiplied",
            stage="mask",
            summary="The scores are multiplied by the mask; a hidden score becomes 0, which is a score like any other.",
            symptom="All hidden keys of a row have the same weight, and it is not 0.",
            question="What weight does the softmax give to a score of 0?",
            pointer="Look at what the mask does to the scores: times 0 gives 0, and exp(0) is 1.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(Sighting("georg-wolflein/good-features", 1, "pull"),),
        ),
        families=FIVE_STEPS,
        in_training="The future is seen, and the loss falls far below what is possible.",
        operate=_hide_by(_multiply),
    ),
    Fault(
        Mistake(
            name="mask_filled_with_zero",
            stage="mask",
            summary="Hidden scores are set to 0, or to a number near it such as 1e-9; that is a score like any other.",
            symptom="All hidden keys of a row have the same weight, and it is not 0.",
            question="What weight does the softmax give to a score of 0?",
            pointer=(
                "Look at the number that is filled in: exp(0) is 1; only exp(-inf) is 0. A minus sign may be missing "
                "in front of 1e9."
            ),
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(Sighting("hyunwoongko/transformer", 10), Sighting("awslabs/gluonts", 1401, "pull")),
        ),
        families=FIVE_STEPS,
        in_training="The future is seen, and the loss falls far below what is possible.",
        operate=_fill_with(0.0),
    ),
    Fault(
        Mistake(
            name="mask_added_as_zero_one",
            stage="mask",
            summary="The mask of zeros and ones is added to the scores as it stands.",
            symptom="Hidden keys have weight, only e times less beside the others than they would have.",
            question="What must be added to a score so that its weight becomes 0?",
            pointer="Look at what is added to the scores: a mask to be added holds 0 and -inf, not 1 and 0.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(Sighting("huggingface/transformers", 41443, "pull"),),
        ),
        families=FIVE_STEPS | MASKS,
        in_training="Nearly as without a mask: the future is seen, and the loss falls far below what is possible.",
        operate=_hide_by(_add_zero_one),
    ),
    Fault(
        Mistake(
            name="mask_subtracted",
            stage="mask",
            summary="The mask is subtracted from the scores instead of being added.",
            symptom=(
                "With 0 and -inf every row with a hidden key is NaN. With zeros and ones hidden keys have more weight "
                "than before."
            ),
            question="Your mask and your scores: with which sign do they meet?",
            pointer="Look at the sign in front of the mask: minus -inf is +inf.",
            fix="scores = scores + mask  # mask holds 0 and -inf",
        ),
        families=FIVE_STEPS,
        in_training=(
            "With a mask of 0 and -inf, NaN at the first step. With a mask of zeros and ones the future is seen, "
            "and preferred."
        ),
        operate=_subtract,
    ),
    Fault(
        Mistake(
            name="mask_fill_too_small",
            stage="mask",
            summary="Hidden scores are set to a number such as -10 or -100, above which real scores must stay.",
            symptom="Hidden keys have a little weight; with large negative scores they have most of it.",
            question="What if all the visible scores are below the number you fill in?",
            pointer="Look at the number that is filled in: it must lie below every score there can be.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))  # or torch.finfo(scores.dtype).min',
            sightings=(Sighting("TransformerLensOrg/TransformerLens", 366, "pull"),),
        ),
        families=FIVE_STEPS | MASKS,
        in_training="Right as long as scores are small. Later the hidden keys begin to shine through.",
        operate=_fill_with(-10.0),
        tune=_fill_with,
    ),
    Fault(
        Mistake(
            name="mask_fill_positive",
            stage="mask",
            summary="Hidden scores are set to a huge positive number; a minus sign is missing.",
            symptom="In every row with a hidden key, the hidden keys share all the weight evenly; with +inf it is NaN.",
            question="Which score wins in your softmax: a visible one, or the number you fill in?",
            pointer="Look at the sign of the number that is filled in.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(Sighting("lucidrains/memory-compressed-attention", 2),),
        ),
        families=FIVE_STEPS | MASKS,
        in_training=(
            "A causal model sees only the future: the loss falls far below what is possible, and what it writes "
            "is nonsense. With +inf it is NaN."
        ),
        operate=_fill_with(1e9),
        tune=_fill_with,
    ),
    Fault(
        Mistake(
            name="mask_times_infinity",
            stage="mask",
            summary="(1 - mask) * -inf is added; where the mask is 1, that is 0 * -inf, which is NaN.",
            symptom="Every score that may be seen is NaN, and with it every row.",
            question="What is zero times infinity?",
            pointer="Look at how the mask becomes something to add: a product with -inf makes NaN of every 0.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(Sighting("cerebroai/reformers", 3),),
        ),
        families=FIVE_STEPS | MASKS,
        in_training="NaN at the first step.",
        operate=_hide_by(_add_times_infinity),
    ),
    Fault(
        Mistake(
            name="mask_before_scale",
            stage="mask",
            summary="The mask to be added is added before the scale, and is divided by √d_k along with the scores.",
            symptom="With 0 and -inf all is right. With other numbers the mask counts √d_k times too little.",
            question="A mask that holds 1 should add 1 to what goes into the softmax: does it?",
            pointer="Look at the order of mask and scale: the mask is added to the scores once they have been scaled.",
            fix="scores = query @ key.transpose(-2, -1) / math.sqrt(d_k) + mask",
        ),
        families=FIVE_STEPS,
        in_training=(
            "A bias by distance is √d_k times weaker than it says. A mask of 0 and -inf does its work all the same."
        ),
        operate=_add_bias_before_scaling,
    ),
    Fault(
        Mistake(
            name="nan_rows",
            stage="mask",
            summary="A query that may attend to no key gets NaN: the softmax of nothing but -inf.",
            symptom="Rows without a key are NaN, the others are right.",
            question="What is the softmax of a row that holds only -inf?",
            pointer="Look at rows in which the mask allows nothing: their weights should be 0, or at least a number.",
            fix="weights = torch.softmax(scores, dim=-1).masked_fill(~mask.any(-1, keepdim=True), 0.0)",
            sightings=(
                Sighting("pytorch/pytorch", 41508),
                Sighting("pytorch/pytorch", 103963),
                Sighting("tracel-ai/burn", 4697, "pull"),
                Sighting("robertknight/rten", 1321, "pull"),
            ),
        ),
        families=FIVE_STEPS,
        in_training=(
            "NaN at the first batch in which a row is empty, such as a sequence of padding only; gradients, too."
        ),
        operate=_nan_in_empty_rows,
        wraps=True,
    ),
)
