"""Mask: whom it hides from whom."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from attention_surgeon.faults.families import CAUSAL, MASK, MASKED, PADDING
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Operands, softmax_over_keys
from attention_surgeon.ops.steps import Step
from attention_surgeon.verdict import Mistake, Sighting

Reading: TypeAlias = Callable[[Operands, Tensor], Operands]
"""`(operands, scores) -> operands` with another mask."""


def read_mask_as(read: Reading) -> Operation:
    """Return the operation after which every step sees the mask that `read` makes of the one that was given."""

    def reading(step: Step) -> Step:
        def read_and_step(tensor: Tensor, operands: Operands) -> Tensor:
            return step(tensor, read(operands, tensor))

        return read_and_step

    def operation(circuit: Circuit) -> Circuit:
        mechanism = circuit.mechanism.replace(mask=reading(circuit.mechanism.mask))
        if mechanism.normalise is not softmax_over_keys:  # one that hides after the softmax looks at the mask, too
            mechanism = mechanism.replace(normalise=reading(mechanism.normalise))
        return circuit.replace(mechanism=mechanism)

    return operation


def change_allowed(change: Callable[[Tensor], Tensor]) -> Operation:
    """Return the operation that puts `change(allowed)` in the place of `allowed`, where something is hidden at all.

    `allowed` comes to `change` with at least the two axes `(..., n_q, n_k)`.
    """

    def read(operands: Operands, scores: Tensor) -> Operands:
        if operands.allowed is None:
            return operands
        one_matrix = scores[(0,) * (scores.ndim - 2)]
        return dataclasses.replace(operands, allowed=change(torch.broadcast_tensors(operands.allowed, one_matrix)[0]))

    return read_mask_as(read)


def invert(allowed: Tensor) -> Tensor:
    """Allow what was hidden, hide what was allowed."""
    return ~allowed


def allow_next_key(allowed: Tensor) -> Tensor:
    """Allow one key more: the one after each that is allowed."""
    return allowed | torch.nn.functional.pad(allowed[..., :-1], (1, 0))


def _hide_own_positions(circuit: Circuit) -> Circuit:
    future = circuit.pattern(1, 2)  # one query, two keys: is the last key the query's own, or the first?
    counts_from_start = future is not None and not bool(future[..., -1].all())

    def hide(allowed: Tensor) -> Tensor:
        offset = 0 if counts_from_start else allowed.shape[-1] - allowed.shape[-2]
        own = torch.ones(allowed.shape[-2:], dtype=torch.bool, device=allowed.device).tril(offset).triu(offset)
        return allowed & ~own

    return change_allowed(hide)(circuit)


def _transpose(allowed: Tensor) -> Tensor:
    return allowed.transpose(-2, -1)


def _put_on_queries(allowed: Tensor) -> Tensor:
    hides_keys_for_all = bool((allowed == allowed[..., :1, :]).all())
    return allowed.transpose(-2, -1) if hides_keys_for_all else allowed


def _take_first(operands: Operands, scores: Tensor) -> Operands:
    allowed = operands.allowed
    if allowed is None or allowed.ndim < 3 or allowed.ndim < scores.ndim:  # no axis of sequences
        return operands
    return dataclasses.replace(operands, allowed=allowed[:1])


def _take_nothing(operands: Operands, scores: Tensor) -> Operands:
    return dataclasses.replace(operands, allowed=None, bias=None)


def _take_none_for_causal(operands: Operands, scores: Tensor) -> Operands:
    if operands.allowed is not None or operands.bias is not None:
        return operands
    return dataclasses.replace(operands, allowed=causal_mask(scores.shape[-2], scores.shape[-1]).dense(scores.device))


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="mask_ignored",
            stage="mask",
            summary="The mask is taken as an argument and never used.",
            symptom="With and without a mask the numbers are the same; hidden keys have weight.",
            question="Call it with a mask and without: what changes?",
            pointer=(
                "Look at what becomes of the mask: it does not reach the scores. masked_fill without _ returns a new "
                "tensor."
            ),
            fix='scores = scores.masked_fill(~mask, float("-inf"))',
            sightings=(
                Sighting("lucidrains/flamingo-pytorch", 10),
                Sighting("AI-Hypercomputer/maxtext", 878),
                Sighting("tensorflow/addons", 133, "pull"),
            ),
        ),
        families=MASKED | PADDING,
        in_training=(
            "The loss falls far below what is possible, because the answers can be seen; what the model then "
            "writes is poor."
        ),
        operate=read_mask_as(_take_nothing),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_inverted",
            stage="mask",
            summary="The mask is read the wrong way round: what may be seen is hidden, and what is hidden is seen.",
            symptom="Weights stand exactly where the mask forbids them, and are 0 where it allows.",
            question="In this mask, does True say 'look here' or 'do not look here'?",
            pointer="Look at the condition in front of the fill: it fills what may be seen.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))  # True = may attend',
            sightings=(
                Sighting("rasbt/LLMs-from-scratch", 1062, "pull"),
                Sighting("huggingface/transformers", 38094, "pull"),
                Sighting("InseeFrLab/torchTextClassifiers", 92, "pull"),
                Sighting("lucidrains/halonet-pytorch", 4),
            ),
        ),
        families=MASKED | CAUSAL | MASK,
        in_training=(
            "A causal model sees only the future: the loss falls far below what is possible, and what it writes "
            "is nonsense."
        ),
        operate=change_allowed(invert),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_off_by_one",
            stage="mask",
            summary="One key too many is seen: the one after the last that is allowed.",
            symptom="In a causal mask there is weight on the first diagonal above the main one, and 0 beyond.",
            question="Draw the mask for three tokens: how many keys does the first one see?",
            pointer="Look at where the triangle begins: its edge lies one position too far to the right.",
            fix="mask = torch.ones(n, n, dtype=torch.bool).tril()  # not tril(1); to hide: triu(1)",
        ),
        families=MASKED | CAUSAL | MASK,
        in_training=(
            "The very token to be predicted can be seen: the loss falls to almost nothing, and what the model "
            "writes is poor."
        ),
        operate=change_allowed(allow_next_key),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_diagonal_hidden",
            stage="mask",
            summary="No position sees itself; in a causal mask the first one sees nothing at all.",
            symptom="The diagonal of the weights is 0, and under a causal mask row 0 is NaN, zero or even.",
            question="May a position look at itself, and what is left for the first one if not?",
            pointer="Look at where the triangle begins: the diagonal belongs to what may be seen.",
            fix="mask = torch.ones(n, n, dtype=torch.bool).tril()  # not tril(-1); to hide: triu(1), not triu(0)",
        ),
        families=MASKED | CAUSAL | MASK,
        in_training=(
            "NaN, if the first row has nothing to attend to; otherwise it learns, without the position's own value."
        ),
        operate=_hide_own_positions,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_transposed",
            stage="mask",
            summary="The mask is used with queries and keys exchanged.",
            symptom="The pattern of zeros in the weights is the mirror image of the mask.",
            question="Entry (i, j) of the mask: which of the two numbers is the query?",
            pointer="Look at the axes of the mask: its rows are queries and its columns keys.",
            fix='scores = scores.masked_fill(~mask, float("-inf"))  # mask (n_q, n_k), no transpose',
        ),
        families=MASKED | MASK,
        in_training=(
            "A causal model sees the future and itself: the loss falls far below what is possible, and it writes "
            "nonsense."
        ),
        operate=change_allowed(_transpose),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_first_only",
            stage="mask",
            summary="The mask of the first sequence is used for the whole batch.",
            symptom="The first sequence of a batch is right, the others are as if they had its mask.",
            question="Take the second sequence of your batch alone: does it get the same answer?",
            pointer="Look at how the mask meets the batch: only its first entry is taken.",
            fix='scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))  # mask (batch, n_k)',
        ),
        families=MASKED | PADDING,
        in_training="Depends on the company: padding is read in all but the first sequence, or tokens are lost.",
        operate=read_mask_as(_take_first),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="mask_hides_queries",
            stage="mask",
            summary="A padding mask is put on the axis of the queries: rows are hidden instead of columns.",
            symptom=(
                "Whole rows of the scores are hidden, and no column is; the row of a real token has weight on padding."
            ),
            question="Padding must not be read by anybody. Is that a row of the weights, or a column?",
            pointer="Look at the axes that are added to the padding mask: the last one must remain the keys.",
            fix="mask = mask[:, None, None, :]  # (batch, n_k) -> (batch, 1, 1, n_k), not mask[:, None, :, None]",
            sightings=(Sighting("hyunwoongko/transformer", 40, "pull"),),
        ),
        families=MASKED | PADDING,
        in_training="Tokens still read the padding, and the rows of the padding are NaN, or even.",
        operate=change_allowed(_put_on_queries),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="none_mask_is_causal",
            stage="mask",
            summary="Without a mask the future is hidden; it should be seen.",
            symptom=(
                "Called without a mask, the weights are a lower triangle. With a mask that allows all, they are right."
            ),
            question="Call it without a mask: how many keys does the first query see?",
            pointer="Look at what happens when the mask is None: a causal one is put in its place.",
            fix="F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=False)",
            sightings=(Sighting("huggingface/transformers", 48172),),
        ),
        families=MASKED,
        in_training=(
            "An encoder, or attention to another sequence, reads only what comes before, and learns less than it could."
        ),
        operate=read_mask_as(_take_none_for_causal),
        wraps=True,
    ),
)
