"""One call of tiled attention: its tensors in the form the loops want, and how it is cut into blocks.

Heads and batch are one axis of units. Scores are kept in units of log 2, because `exp2` of torch is four times as fast
as its `exp`: with `query' = query * scale * log2(e)`, the weight of a key is `2 ** (query' · key)` up to the row's sum.
"""

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, final

import torch
from torch import Tensor

from attention_surgeon.kernels.visible import Visible, runs_of_keys, visible_of
from attention_surgeon.masks import Mask

ROWS = 256
"""Queries in a block."""
WIDTH = 512
"""Keys in a tile: with `ROWS` half a mebibyte of float32 scores, which stays in the cache of a core."""
NARROW_UNITS = 8
"""Units in a block whose queries see few keys: one call of torch for all of them."""


class Precision(Enum):
    """How scores are kept from overflowing, and how exactly they are known."""

    BOUNDED = "bounded"
    """So small that `exp2` of them can be summed as they are: no maximum, nothing subtracted."""
    SHIFTED = "shifted"
    """The largest score so far is subtracted (online softmax, Milakov and Gimelshein 2018)."""
    EXACT = "exact"
    """So large that their own rounding would be seen in the weights: shifted, and computed in float64."""


BOUNDED_BELOW = 40.0
"""Scores up to ±40 (in log 2): sums reach 2 ** 40 n, far from the 2 ** 127 at which float32 ends."""
FEW_KEYS = 512
"""With so few keys a weight can be near 1, and its rounding shows: shifted, the largest is 1 before the division."""
EXACT_ABOVE = 512.0
"""In units of 2 ** -23, the rounding of float32: there a score is off by about 10 ** -4."""


class Block(NamedTuple):
    """Some units, `slice` of the unit axis, and some of their queries."""

    units: slice
    rows: slice


@final
@dataclass(frozen=True)
class Plan:
    """What a call is besides its tensors.

    Attributes:
        kv_of: For each unit the entry of key and value that it reads.
        mask_of: For each unit the position in the mask's own batch.
        rule: A mask that is no tensor.
        factor: What the scores are multiplied by, times log2(e).
        dropout: Probability with which a weight is dropped.
        seed: Of the draws.
        coarsest: Rounding of the input's dtype, which the scores need not undercut.
        wants_bias: Whether the gradient of a floating mask is asked for.
        wants_logsumexp: Whether the log-sum-exp is asked for; nobody reads it otherwise.
        caller: Name that starts a message.
    """

    kv_of: list[int]
    mask_of: list[int]
    rule: Mask | None
    factor: float
    dropout: float = 0.0
    seed: int = 0
    coarsest: float = 2.0**-23
    wants_bias: bool = False
    wants_logsumexp: bool = True
    caller: str = "tiled_attention"

    def problem(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> "Problem":
        """Return the call with its tensors; a mask's numbers are looked at here.

        Raises:
            MaskError: numbers that mean nothing, or that are in doubt.
        """
        visible = visible_of(mask if self.rule is None else self.rule, query.device, self.caller)
        shared = (self.factor, self.dropout, self.seed, self.coarsest)
        return Problem(query, key, value, self.kv_of, visible, self.mask_of, *shared)

    def repeated(self, count: int, num_kv: int, num_masks: int) -> "Plan":
        """Return the plan of `count` such calls as one.

        Args:
            count: How many.
            num_kv: Entries of key and value that each has of its own; 0: all share them.
            num_masks: Entries of the mask that each has of its own; 0: all share it.
        """
        kv_of = [number * num_kv + own for number in range(count) for own in self.kv_of]
        mask_of = [number * num_masks + own for number in range(count) for own in self.mask_of]
        return dataclasses.replace(self, kv_of=kv_of, mask_of=mask_of)


@final
@dataclass(frozen=True)
class Problem:
    """A plan with its tensors: everything that stays the same during a call.

    Attributes:
        query: `(units, n_q, d_k)`, not scaled.
        key: `(kv units, n_k, d_k)`.
        value: `(kv units, n_k, d_v)`.
        kv_of: As in the plan, like all below.
        visible: The mask as tiles.
        mask_of: How the mask is shared.
        factor: scale times log2(e).
        dropout: Probability with which a weight is dropped.
        seed: Of the draws.
        coarsest: Rounding of the input's dtype.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    kv_of: list[int]
    visible: Visible | None
    mask_of: list[int]
    factor: float
    dropout: float = 0.0
    seed: int = 0
    coarsest: float = 2.0**-23

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Units, queries, keys."""
        return len(self.kv_of), self.query.shape[-2], self.key.shape[-2]

    @property
    def kept_share(self) -> float:
        """What the weights that are kept are divided by; 1 where none is."""
        return 1 - self.dropout or 1.0

    @property
    def width(self) -> int:
        """Keys of the widest tile."""
        return WIDTH

    def blocks(self) -> list[Block]:
        """Cut the work into blocks, those of the same queries next to each other: they share the mask's tiles."""
        units, n_q, n_k = self.sizes
        rows = ROWS
        together = max(1, ROWS * WIDTH // max(1, min(n_q, ROWS) * min(n_k, WIDTH)))
        if together < min(units, NARROW_UNITS) and self._is_narrow():
            together = min(units, NARROW_UNITS)
            rows = max(1, ROWS // 2) if together > 2 else ROWS
        return [
            Block(slice(unit, min(unit + together, units)), slice(row, min(row + rows, n_q)))
            for row in range(0, n_q, rows)
            for unit in range(0, units, together)
        ]

    def _is_narrow(self) -> bool:
        """Say whether the queries in the middle see so few keys that half of their tile would be hidden."""
        _, n_q, n_k = self.sizes
        middle = slice(n_q // 2, min(n_q // 2 + ROWS, n_q))
        runs = runs_of_keys(self.visible, middle, n_k, WIDTH)
        return sum(run.stop - run.start for run, _ in runs) <= WIDTH + WIDTH // 2


def all_finite(x: Tensor) -> bool:
    """Say whether a tensor holds neither NaN nor infinity, without making a second one of its size."""
    return not x.numel() or all(math.isfinite(end) for end in torch.aminmax(x))


def places(positions: list[int]) -> slice | list[int]:
    """Return how to index for `positions`: by a slice, which makes a view, where they follow each other.

    >>> places([1, 2]), places([2, 0]), places([2, 2])
    (slice(1, 3, None), [2, 0], slice(2, 3, None))
    """
    first, count = positions[0], len(positions)
    if positions.count(first) == count:
        return slice(first, first + 1)  # one for all, which broadcasts
    return slice(first, first + count) if positions == list(range(first, first + count)) else positions
