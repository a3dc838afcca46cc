"""Masks that are made of more than a triangle: documents, prefixes, two masks joined, tables of distances.

Sources: Raffel et al. 2020 (prefix masks, buckets of distances); Krell et al. 2021 (packed documents).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.faults.families import MODERN
from attention_surgeon.faults.fault import Fault
from attention_surgeon.faults.mask_content import change_allowed
from attention_surgeon.faults.parts import RELATIVE
from attention_surgeon.ops import Circuit, Operands, RelativeBias
from attention_surgeon.verdict import Mistake

_DOCUMENTS = ("doc_ids", "document_ids", "documents", "segment_ids", "segments")
_PREFIX = 2


def _without_documents(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_as_one(*args: Any, **kwargs: Any) -> Any:
        named = {name: torch.zeros_like(value) if name in _DOCUMENTS else value for name, value in kwargs.items()}
        return function(*(torch.zeros_like(value) for value in args[:1]), *args[1:], **named)

    return compute_as_one


def _open_rows(circuit: Circuit) -> Circuit:
    usual = circuit.pattern

    def pattern(num_queries: int, num_keys: int) -> Tensor | None:
        seen = usual(num_queries, num_keys)
        if seen is None:
            return None
        opened = seen.clone()
        opened[:_PREFIX] = True
        return opened

    return circuit.replace(pattern=pattern)


def _join_by_or(circuit: Circuit) -> Circuit:
    hidden, usual = circuit.pattern, circuit.mechanism.mask

    def mask(scaled: Tensor, operands: Operands) -> Tensor:
        seen = hidden(scaled.shape[-2], scaled.shape[-1])
        if seen is not None:
            operands = dataclasses.replace(
                operands, allowed=seen if operands.allowed is None else operands.allowed | seen
            )
        return usual(scaled, operands)

    return circuit.replace(pattern=Circuit().pattern, mask=mask)


def _shift_table(circuit: Circuit) -> Circuit:
    return circuit.replace(bias=RelativeBias(RELATIVE.of(circuit).table.roll(1, 0)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            "documents_mixed",
            "mask",
            "Tokens of one document see those of another that is packed into the same sequence.",
            "A token has weight on tokens of another document.",
            "Which tokens may the first token of the second document see?",
            "Look at how the numbers of the documents are compared: they must be equal.",
            "seen = (documents[:, :, None] == documents[:, None, :]) & (j <= i)",
        ),
        MODERN,
        "It learns to carry on from texts that have nothing to do with each other.",
        wrap=_without_documents,
        wraps=True,
    ),
    Fault(
        Mistake(
            "prefix_misplaced",
            "mask",
            "The rows of the prefix see everything; it is the columns of the prefix that everything may see.",
            "A token of the prefix has weight on the text behind it.",
            "With a prefix of two, what may the first token see, and what may the last one?",
            "Look at the axis along which the prefix is opened: keys are columns.",
            "seen = (j <= i) | (j < prefix)",
        ),
        MODERN,
        "The prefix sees the text that it is to predict; the loss is lower than it may be.",
        operate=_open_rows,
        wraps=True,
    ),
    Fault(
        Mistake(
            "masks_joined_by_or",
            "mask",
            "Two masks are joined by or: what one of them lets through is seen, though the other hides it.",
            "Padding in the past has weight, and so have real tokens of the future.",
            "A token lies in the future and is no padding: may it be seen?",
            "Look at the sign between the two masks: both must let a key through.",
            "seen = padding & causal",
        ),
        MODERN,
        "The loss falls to almost nothing, because each position can see the token it has to predict.",
        operate=_join_by_or,
        wraps=True,
    ),
    Fault(
        Mistake(
            "mask_rows_alike",
            "mask",
            "Every row of the mask is the same: what is hidden does not depend on the query.",
            "The columns of the weights are 0 from top to bottom, or nowhere.",
            "Which keys does the first query see, and which the last?",
            "Look at how the rows of the mask are made: one row is repeated.",
            "hidden = torch.ones(n, n).triu(1).bool()",
        ),
        MODERN,
        "Either the future is seen, or most of the text is not.",
        operate=change_allowed(lambda allowed: allowed[..., -2:-1, :].expand_as(allowed)),
        wraps=True,
    ),
    Fault(
        Mistake(
            "relative_bucket_wrong",
            "mask",
            "A distance is put into another entry of the table than the one that is meant for it.",
            "Two distances share an entry, or past and future are exchanged.",
            "Which entry does the key just before the query get, and which the one just behind it?",
            "Look at the sign of the distance, key minus query, and at the base of the logarithm for far ones.",
            "distance = (query_position - key_position).clamp(min=0)",
        ),
        MODERN,
        "Trained from scratch it learns; with the weights of another implementation it writes nonsense.",
        operate=_shift_table,
        needs=RELATIVE,
    ),
)
