"""Sizes that people's code accepts, in the order in which they are worth trying.

First all of them different, with an even head width, so that no two axes can be mistaken for each other; then powers of
two; then what the constructor's own defaults say; then what its author uses in the same file.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from attention_surgeon.calls.names import Size

_ROOM = 64  # the longest sequence that a layer is made for
_QUERY_WIDTHS = frozenset(
    ("d_k", "dk", "d_q", "qk_dim", "key_size", "d_key", "key_dim", "d_queries", "d_keys")
)  # of one head, not of all
Keeps = Literal["", "defaults", "author"]


@dataclass(frozen=True)
class Proposal:
    """Sizes to try.

    Attributes:
        heads: Query heads where keys have fewer.
        kv_heads: Those of the keys.
        alone: Query heads where keys have as many.
        head_size: Of each head.
        context_width: Of what is looked at; None: the layer's own.
        value_size: Of a head's values, where it is a size of its own.
        is_free: Whether the layer is not as wide as its heads together, where each has a size of its own.
        keeps: `defaults` where these stay; `author` where the file's own numbers come first.
        width: Of the layer; None: as wide as its heads together.
    """

    heads: int
    kv_heads: int
    alone: int
    head_size: int
    context_width: int | None = None
    value_size: int = 8
    is_free: bool = False
    keeps: Keeps = ""
    width: int | None = None


_PROPOSALS = (
    Proposal(6, 3, 3, 8, context_width=40, value_size=10, is_free=True),
    Proposal(6, 3, 3, 8, context_width=40, value_size=10),
    Proposal(6, 3, 3, 8),
    Proposal(4, 2, 4, 16, context_width=32, value_size=16),
    Proposal(4, 2, 4, 16, value_size=16),
    Proposal(4, 2, 4, 16, value_size=16, keeps="defaults"),
    Proposal(4, 2, 4, 16, value_size=16, keeps="author"),
    Proposal(8, 2, 8, 64, value_size=64),
    Proposal(8, 4, 8, 32, value_size=32),
    Proposal(1, 1, 1, 24, value_size=24),
    Proposal(4, 4, 4, 16, value_size=16),
    Proposal(12, 12, 12, 64, value_size=64, keeps="author"),
)


def proposals(fixed: Mapping[str, int] | None = None) -> Iterator[Proposal]:
    """Yield the sizes to try, in order; `fixed` sets some of them."""
    chosen = dict(fixed or {})
    if "heads" in chosen:
        chosen["alone"] = chosen["heads"]
        chosen.setdefault(
            "kv_heads", next(g for g in (3, 2, 1) if chosen["heads"] % g == 0 and g < max(2, chosen["heads"]))
        )
    for proposal in _PROPOSALS:
        yield dataclasses.replace(proposal, **chosen)


def numbers(proposal: Proposal, kinds: Collection[Size]) -> dict[Size, int]:
    """Return the number for each size of a constructor that has sizes of these kinds.

    >>> numbers(Proposal(6, 3, 3, 8), {"width", "heads"})["width"]
    24
    """
    has_heads = "heads" in kinds
    heads = (proposal.heads if "kv_heads" in kinds else proposal.alone) if has_heads else 1
    inner = heads * proposal.head_size
    has_own = bool({"head_size", "key_size", "out_width"} & set(kinds))
    width = proposal.width or inner
    if proposal.width is None and not has_heads and not has_own:
        width = proposal.alone * proposal.head_size  # one head as wide as the layer
    if proposal.width is None and has_own and proposal.is_free:
        width = inner + 12 if not has_heads else inner - 4 if heads <= 3 else inner - 12
        if not has_heads and "head_size" in kinds:  # how many heads there are may be worked out: a whole number
            width = proposal.alone * inner
    return {
        "width": width,
        "context_width": proposal.context_width or width,
        "out_width": inner if has_heads or "width" in kinds else width,
        "heads": heads,
        "kv_heads": proposal.kv_heads,
        "head_size": proposal.head_size,
        "key_size": inner,
        "value_size": proposal.value_size,
        "length": _ROOM,
        "batch": 4,
        "vocabulary": 50,
        "hidden": 2 * width,
        "groups": 1,
        "patch": 4,
    }


def number(name: str, role: Size, proposal: Proposal, kinds: Collection[Size]) -> int | float | None:
    """Return the number for one parameter; None where sizes say nothing of it.

    `d_k` is of one head where there are heads; `layer_idx` is a place, `n_layers` a count.
    """
    if role == "key_size" and name.lower().strip("_") in _QUERY_WIDTHS:
        return proposal.head_size
    if role == "layer":
        return 0 if _is_place(name) else 1
    if role == "cap":
        return 5.0
    return numbers(proposal, kinds).get(role)


def _is_place(name: str) -> bool:
    lowered = name.lower()
    return not lowered.startswith("n") and any(word in lowered for word in ("id", "_i", "layer", "block"))
