"""One call of tiled attention: its tensors in the form the loops want, and how it is cut into blocks.

Heads and batch are one axis of units. Scores are kept in units of log 2, because `exp2` of torch is four times as fast
as its `exp`: with `query' = query * scale * log2(e)`, the weight of a key is `2 ** (query' · key)` up to the row's sum.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, final

import torch
from torch import Tensor

from attention_surgeon.kernels.visible import Visible, runs_of_keys

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
class Problem:
    """Everything that stays the same during a call; the first six are those of `Operands`.

    Attributes:
        query: Not scaled.
        key: As it came.
        value: As it came.
        kv_of: How heads are shared.
        visible: The mask.
        mask_of: How the mask is shared.
        factor: scale times log2(e).
        dropout: Probability with which a weight is dropped.
        seed: Of the draws.
        coarsest: Rounding of the input's dtype, which the scores need not undercut.
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
