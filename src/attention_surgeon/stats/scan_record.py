"""What a scan found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.stats.head_statistics import HeadStatistics, finish
from attention_surgeon.stats.maps import PooledMap, stack_maps
from attention_surgeon.stats.row_sums import RowSums, StatisticsOptions
from attention_surgeon.stats.scan_estimate import RATIOS, column_sums, standard_errors
from attention_surgeon.stats.scan_work import FoundHead

_STANDARD_ERRORS = 1.96
"""Of a normal distribution 95 % lie so many standard deviations around the mean."""


@final
@dataclass(frozen=True, eq=False)
class AttentionScan:
    """The statistics and the map of heads, made without the n x n weights.

    Attributes:
        statistics: As `head_statistics` gives them, without `similarity`. Of a sample they are estimates, and
            `max_attention` is the largest weight that was seen.
        output_norm: `(*batch, heads)`, mean over the rows that count of the length of Σ_k w_qk v_k; None: no value.
        map: Largest and mean weights; leading axes as the query's. Of a sample: those of the rows that were looked at.
            None: none was asked for.
        num_looked_at: `(*batch, heads)`, how many queries were looked at.
        num_queries: n_q.
        errors: By statistic the standard error of each head, `(*batch, heads)`; 0 where all queries were looked at.
        seconds: How long it took.
    """

    statistics: HeadStatistics
    output_norm: Tensor | None
    map: PooledMap | None
    num_looked_at: Tensor
    num_queries: int
    errors: dict[str, Tensor]
    seconds: float

    @property
    def is_exact(self) -> bool:
        """Whether every query of every head was looked at."""
        return bool((self.num_looked_at == self.num_queries).all())

    def number(self, name: str) -> Tensor:
        """Return a statistic by name, `(*batch, heads)`, `output_norm` included.

        Raises:
            OptionError: there is no such number, or it was not measured.
        """
        found = self.output_norm if name == "output_norm" else getattr(self.statistics, name, None)
        if not isinstance(found, Tensor):
            raise OptionError(f"number: a scan has no number {name!r}, or it was not measured.")
        return found

    def interval(self, name: str) -> tuple[Tensor, Tensor]:
        """Return between which numbers a statistic lies with 95 % confidence; of an exact one twice itself.

        The estimate is taken to be normally distributed. Where few rows make up a number, such as the weight on the
        own position of a peaked head, a small sample knows too little of its own error, and the interval is too narrow.

        Raises:
            OptionError: there is no such number, or its error is not known (the largest weight of a sample).
        """
        if name not in self.errors:
            raise OptionError(f"interval: the error of {name!r} is not known; known are {', '.join(self.errors)}.")
        middle, error = self.number(name), _STANDARD_ERRORS * self.errors[name]
        return middle - error, middle + error

    def __repr__(self) -> str:
        """Return one short line."""
        heads = math.prod(self.num_looked_at.shape)
        looked = "all" if self.is_exact else f"{int(self.num_looked_at.min())} of {self.num_queries}"
        return f"AttentionScan({heads} heads, {looked} queries looked at, {self.seconds:.3g} s)"


def make_record(
    found: Sequence[FoundHead], options: StatisticsOptions, leading: tuple[int, ...], has_value: bool, seconds: float
) -> AttentionScan:
    """Return the record of heads that were scanned one after the other, in the order of `leading`."""
    each = [_Numbers.of(head) for head in found]
    columns = {name: _stacked([numbers.sums[name] for numbers in each], leading) for name in each[0].sums}
    output_norm = columns.pop("output_norm") / columns["num_rows"] if has_value else None
    columns.pop("output_norm", None)
    num_queries = found[0].totals.num_queries
    sums = RowSums(
        **columns,
        num_empty=num_queries - columns["num_rows"],
        largest=_stacked([numbers.largest for numbers in each], leading),
        received=_stacked([numbers.received for numbers in each], leading),
        gram=None,
    )
    statistics = finish(sums, options)
    counts = {name: getattr(statistics, name).round().long() for name in ("num_rows", "num_empty")}
    maps = [one for head in found if (one := head.totals.pooled()) is not None]
    measured = [name for name in RATIOS if name != "output_norm" or has_value]
    return AttentionScan(
        replace(statistics, **counts),
        output_norm,
        stack_maps(maps, leading) if maps else None,
        _stacked([torch.tensor(len(head.totals.rows)) for head in found], leading),
        num_queries,
        {name: _stacked([torch.tensor(numbers.errors[name]) for numbers in each], leading) for name in measured},
        seconds,
    )


@dataclass(frozen=True)
class _Numbers:
    """The numbers of one head: sums of columns, what each key received, the largest weight, standard errors."""

    sums: dict[str, Tensor]
    received: Tensor
    largest: Tensor
    errors: dict[str, float]

    @classmethod
    def of(cls, head: FoundHead) -> "_Numbers":
        table, received = head.totals.table, head.totals.received
        largest = table["row_largest"].max()
        if head.strata is None:
            return cls(column_sums(table, None), received, largest, dict.fromkeys(RATIOS, 0.0))
        rows = head.totals.rows
        sums = column_sums(table, head.strata.weights(rows))
        speaks_for = sums["num_rows"] / table["num_rows"].sum()  # one row for so many, on average
        return cls(sums, received * speaks_for, largest, standard_errors(table, rows, head.strata))


def _stacked(tensors: list[Tensor], leading: tuple[int, ...]) -> Tensor:
    return torch.stack(tensors).unflatten(0, leading) if leading else tensors[0]
