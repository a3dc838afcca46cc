"""Which rows to look at where there is no time for all: so many of each run of neighbours, drawn with a seed.

The first rows are all looked at. Under a causal mask they see few keys and give each of them much, unlike all others; a
sample that happens to miss the extreme ones would not only err but believe itself sure.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.maps import Edges

LEAST_OF_EACH = 2
"""Rows of each stratum, without which nothing can be said about the error."""

_SHARE_LOOKED_AT = 32
"""The runs that begin in the first so-manieth of the rows are looked at whole."""


@final
@dataclass(frozen=True, eq=False)
class Strata:
    """Runs of neighbouring rows, and an order in which the rows of each are drawn.

    Attributes:
        stratum: `(n_q,)`, to which run each row belongs.
        sizes: `(strata,)`, how many rows each has.
        turn: `(n_q,)`, as which of its run a row is drawn, from 0; the first runs all at once.
    """

    stratum: Tensor
    sizes: Tensor
    turn: Tensor

    @classmethod
    def draw(cls, edges: Edges, seed: int) -> "Strata":
        """Return the runs between these edges, with a drawn order.

        >>> Strata.draw((0, 3, 5), seed=0).sizes
        tensor([3, 2])
        """
        sizes = torch.tensor(edges).diff()
        num_rows = int(sizes.sum())
        stratum = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        drawn = torch.rand(num_rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        order = (stratum + drawn).argsort()
        turn = torch.empty(num_rows, dtype=torch.int64)
        turn[order] = torch.arange(num_rows) - (sizes.cumsum(0) - sizes)[stratum]
        turn[stratum <= stratum[num_rows // _SHARE_LOOKED_AT]] = 0
        return cls(stratum, sizes, turn)

    @property
    def largest(self) -> int:
        """The number of rows in the largest run."""
        return int(self.sizes.max())

    def rows(self, first: int, last: int) -> Tensor:
        """Return, in order, the rows that are drawn as number `first` up to `last` (without it) of their runs."""
        return ((self.turn >= first) & (self.turn < last)).nonzero()[:, 0]

    def weights(self, rows: Tensor) -> Tensor:
        """Return for how many rows each of the drawn `rows` speaks."""
        of = self.stratum[rows]
        drawn = torch.bincount(of, minlength=len(self.sizes)).clamp(min=1)
        return (self.sizes / drawn.double())[of]
