"""The work on one head: all rows, or as many as there is time for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.stats.maps import cell_edges
from attention_surgeon.stats.row_sums import StatisticsOptions
from attention_surgeon.stats.scan.compiled import scan_rows
from attention_surgeon.stats.scan.group import HeadTotals
from attention_surgeon.stats.scan.plan import Plan, RowGroup, ScanHead, groups_of
from attention_surgeon.stats.scan.run import Workers
from attention_surgeon.stats.scan.sample import LEAST_OF_EACH, Strata

OnProgress: TypeAlias = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""

_STRATA_WITHOUT_MAP = 128

_GROUPS_ASKED = 8

_AT_ONCE = 8
"""Rows of each stratum after which the clock is looked at again."""


@final
@dataclass(frozen=True)
class Effort:
    """How much work a head is worth.

    Attributes:
        at_most: Seconds; None: all it takes.
        num_rows: About so many rows; None: all.
        seed: Of the sample.
    """

    at_most: float | int | None = None
    num_rows: int | None = None
    seed: int = 0

    def share(self, spent: float, heads_left: int) -> "Effort":
        """Return what is left for each of the heads that are left, after `spent` seconds."""
        return self if self.at_most is None else replace(self, at_most=(self.at_most - spent) / heads_left)


@final
@dataclass(frozen=True)
class FoundHead:
    """What was found of one head; `strata` None: all rows were looked at."""

    totals: HeadTotals
    strata: Strata | None


@final
@dataclass(frozen=True)
class HeadWork:
    """The work on one head; `options` None: only the map is wanted."""

    head: ScanHead
    plan: Plan
    options: StatisticsOptions | None
    crew: Workers
    on_progress: OnProgress

    def run(self, effort: Effort) -> FoundHead:
        """Do as much of it as it is worth."""
        if effort.at_most is None and effort.num_rows is None:
            return self._exact()
        edges = self.plan.row_edges or cell_edges(range(self.head.num_queries), _STRATA_WITHOUT_MAP)
        strata = Strata.draw(edges, effort.seed)
        wanted = max(LEAST_OF_EACH, -(-(effort.num_rows or 0) // len(strata.sizes)))
        return self._exact() if wanted >= strata.largest else self._sampled(strata, wanted, effort.at_most)

    def _exact(self) -> FoundHead:
        """Look at all rows; where only a map is wanted, at all rows of its window."""
        edges = self.plan.row_edges if self.options is None else None
        first, last = (0, self.head.num_queries) if edges is None else (edges[0], edges[-1])
        totals = HeadTotals(self.head, self.plan)
        self._look(totals, torch.arange(first, last), 0.0, 1.0)
        return FoundHead(totals, None)

    def _sampled(self, strata: Strata, wanted: int, at_most: float | int | None) -> FoundHead:
        """Look at `wanted` rows of each stratum, at more while there is time, at all where there is time for that."""
        totals, begun = HeadTotals(self.head, self.plan), time.perf_counter()
        most, first = strata.largest, 0
        while wanted > first:
            self._look(totals, strata.rows(first, wanted), first / most, wanted / most)
            if at_most is None:
                break
            spent = time.perf_counter() - begun
            each = spent / wanted
            if first == 0 and each * most <= at_most - spent:
                return self._exact()
            more = min(int((at_most - spent) / each), _AT_ONCE, most - wanted)
            first, wanted = wanted, wanted + max(more, 0)
        return FoundHead(totals, strata)

    def _look(self, totals: HeadTotals, rows: Tensor, before: float, after: float) -> None:
        """Add what is found of some rows, and tell how far the work is."""

        def tell(share: float) -> None:
            self.on_progress(before + (after - before) * share)

        rows = rows.to(self.head.query.device)
        left = scan_rows(self.head, self.plan, self.options, totals, rows, self.crew.number, tell)
        if not len(left):
            return
        before += (after - before) * (1 - len(left) / len(rows))
        groups = list(groups_of(left, self.head.num_keys, self.head.query.element_size()))
        for result, share in zip(
            self.crew.scan(self.head, groups, self.plan, self.options), self._work_of(groups), strict=True
        ):
            totals.add(result)
            tell(share)

    def _work_of(self, groups: list[RowGroup]) -> list[float]:
        """Return the share of the work that is done after each group, as far as a few of them tell; the last is 1."""
        asked = groups[:: -(-len(groups) // _GROUPS_ASKED)]
        seen = [
            self.head.mask.share_seen(group.runs[:1], self.head.num_keys, self.head.query.device) for group in asked
        ]
        each = np.interp(np.linspace(0, 1, len(groups)), np.linspace(0, 1, len(asked)), seen) + 1e-3
        return [*(each.cumsum() / each.sum()).tolist()[:-1], 1.0]
