"""Which rows to look at where there is no time for all: so many of each run of neighbours, drawn with a seed.

The first rows are all looked at. Under a causal mask they see few keys and give each of them much, unlike all others; a
sample that happens to miss the extreme ones would not only err but believe itself sure.

Every statistic of a head is a ratio of two sums over its rows, such as Σ H_q over the number of rows that count. Of a
stratified sample both sums are estimated, and the error of their ratio r = y / x is that of the sum of the residuals
y_q - r x_q (Cochran 1977, Sampling Techniques, sections 5.6 and 6.11):

    se(r)² = Σ_h N_h² (1 - n_h / N_h) s_h² / n_h / x²      s_h²: variance of the residuals in stratum h
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats import row_sums
from attention_surgeon.stats.maps import Edges
from attention_surgeon.stats.scan.group import RowTable

LEAST_OF_EACH = 2
"""Rows of each stratum, without which nothing can be said about the error."""

_SHARE_LOOKED_AT = 32
"""The runs that begin in the first so-manieth of the rows are looked at whole."""

RATIOS = {**row_sums.RATIOS, "output_norm": ("output_norm", "num_rows")}
"""Each statistic with the two columns of `RowTable` whose sums it is the ratio of. The largest weight is no ratio."""


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


def column_sums(table: RowTable, weights: Tensor | None) -> RowTable:
    """Return the sum of each column, `(1,)`; `weights` `(r,)` says for how many rows each speaks, None: for itself."""
    numbers = table.numbers if weights is None else table.numbers * weights[:, None]
    return RowTable(numbers.sum(0, keepdim=True))


def standard_errors(table: RowTable, rows: Tensor, strata: Strata) -> dict[str, float]:
    """Return the standard error of each statistic of a sample, NaN where it cannot be told."""
    sums = column_sums(table, strata.weights(rows))
    stratum = strata.stratum[rows]
    drawn = torch.bincount(stratum, minlength=len(strata.sizes)).double()
    found = {}
    for name, (above, below) in RATIOS.items():
        residuals = table[above] - sums[above] / sums[below] * table[below]
        variance = _variances(residuals, stratum, drawn)
        # A run of which every row was drawn adds no error; of the others there are two rows at least.
        left = strata.sizes.double() * (strata.sizes - drawn) * variance / drawn
        found[name] = float(left.sum().sqrt() / sums[below])
    return found


def _variances(numbers: Tensor, stratum: Tensor, drawn: Tensor) -> Tensor:
    """Return the variance of the numbers of each stratum, with n - 1 below."""
    zeros = torch.zeros_like(drawn)
    mean = zeros.index_add(0, stratum, numbers) / drawn.clamp(min=1)
    squares = zeros.index_add(0, stratum, (numbers - mean[stratum]) ** 2)
    return squares / (drawn - 1).clamp(min=1)
