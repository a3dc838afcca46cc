"""Mask: the future, hidden by the attention itself or by a mask that is made for it; and padding."""

from typing import Literal

from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.faults.mask_content import allow_next_key, change_allowed, invert
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit


def _hide_nothing(circuit: Circuit) -> Circuit:
    return circuit.replace(pattern=lambda num_queries, num_keys: None)


def _mirror(circuit: Circuit) -> Circuit:
    usual = circuit.pattern

    def mirrored(num_queries: int, num_keys: int) -> Tensor | None:
        pattern = usual(num_keys, num_queries)
        return None if pattern is None else pattern.transpose(-2, -1)

    return circuit.replace(pattern=mirrored)


def _align(align: Literal["start", "end"]) -> Operation:
    """Return the operation that hides the future, counted from the first or from the last key."""

    def causal(num_queries: int, num_keys: int) -> Tensor:
        return causal_mask(num_queries, num_keys, align=align).dense()

    return lambda circuit: circuit.replace(pattern=causal)


FAULTS: tuple[Fault, ...] = (
    draft("causal_missing", "mask", {"causal"}, "The future is not hidden.", _hide_nothing),
    draft(
        "causal_reversed", "mask", {"causal", "mask"}, "The past is hidden instead of the future.", _mirror, wraps=True
    ),
    draft(
        "causal_aligned_at_start",
        "mask",
        {"causal", "mask"},
        "Positions are counted from the first key.",
        _align("start"),
    ),
    draft(
        "causal_aligned_at_end", "mask", {"causal", "mask"}, "Positions are counted from the last key.", _align("end")
    ),
    draft(
        "padding_inverted",
        "mask",
        {"padding"},
        "Padding is seen and the tokens are hidden.",
        change_allowed(invert),
        wraps=True,
    ),
    draft(
        "padding_off_by_one",
        "mask",
        {"padding"},
        "The first padded position is seen.",
        change_allowed(allow_next_key),
        wraps=True,
    ),
)
