"""Mask: whom it hides from whom."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import MASKED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Operands, softmax_over_keys
from attention_surgeon.ops.steps import Step

Reading: TypeAlias = Callable[[Operands, Tensor], Operands]
"""`(operands, scores) -> operands` with another mask."""


def _read_mask_as(read: Reading) -> Operation:
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
        shape = torch.broadcast_shapes(operands.allowed.shape, scores.shape[-2:])
        return dataclasses.replace(operands, allowed=change(operands.allowed.expand(shape)))

    return _read_mask_as(read)


def invert(allowed: Tensor) -> Tensor:
    """Allow what was hidden, hide what was allowed."""
    return ~allowed


def allow_next_key(allowed: Tensor) -> Tensor:
    """Allow one key more: the one after each that is allowed."""
    return allowed | torch.nn.functional.pad(allowed[..., :-1], (1, 0))


def _hide_diagonal(allowed: Tensor) -> Tensor:
    num_queries, num_keys = allowed.shape[-2:]
    own = torch.ones(num_queries, num_keys, dtype=torch.bool, device=allowed.device).triu(num_keys - num_queries)
    return allowed & ~own.tril(num_keys - num_queries)


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
    return dataclasses.replace(operands, allowed=causal_mask(*scores.shape[-2:]).dense(scores.device))


FAULTS: tuple[Fault, ...] = (
    draft("mask_ignored", "mask", MASKED, "The mask is not used.", _read_mask_as(_take_nothing), wraps=True),
    draft(
        "mask_inverted",
        "mask",
        MASKED | {"causal", "mask"},
        "What may be seen is hidden, and the other way round.",
        change_allowed(invert),
        wraps=True,
    ),
    draft(
        "mask_off_by_one",
        "mask",
        MASKED | {"causal", "mask"},
        "The key after the last allowed one is seen, too.",
        change_allowed(allow_next_key),
        wraps=True,
    ),
    draft(
        "mask_diagonal_hidden",
        "mask",
        MASKED | {"causal", "mask"},
        "No query sees its own position.",
        change_allowed(_hide_diagonal),
        wraps=True,
    ),
    draft("mask_transposed", "mask", MASKED, "The mask is transposed.", change_allowed(_transpose), wraps=True),
    draft(
        "mask_first_only",
        "mask",
        MASKED | {"padding"},
        "The mask of the first sequence is used for all.",
        _read_mask_as(_take_first),
        wraps=True,
    ),
    draft(
        "mask_hides_queries",
        "mask",
        MASKED,
        "Padding hides rows instead of columns.",
        change_allowed(_put_on_queries),
        wraps=True,
    ),
    draft(
        "none_mask_is_causal",
        "mask",
        MASKED,
        "Without a mask the future is hidden.",
        _read_mask_as(_take_none_for_causal),
        wraps=True,
    ),
)
