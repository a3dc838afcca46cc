"""Some query rows of one head: their weights, once, and everything that is asked of them.

The weights of a row are `e^s / l` with `l` the sum over its keys. The exponentials are kept for all keys of the group,
tile by tile; what can be had before `l` is known is taken while a tile is still in the cache, and multiplied with
`1 / l` at the end:

    sums and maxima of cells         -> l, both grids, the largest weight
    Σ e^s (s - c)                    -> the entropy, log l - Σ w s; c follows the row's largest score, so that the
                                        difference of two large numbers does not take its digits away
    Σ e^s |p - k|                    -> distances; away from the diagonal by a product with a ramp
    e^s near, at and before p        -> masses by place

A second walk over the exponentials does what needs `l`: received weights (a product with 1 / l), the overlap with even
weights, and the count below the threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.masks import TileKind
from attention_surgeon.stats.maps import Edges, PooledMap, by_cells
from attention_surgeon.stats.row_sums import COUNTS, SUMS, StatisticsOptions
from attention_surgeon.stats.scan.plan import Buffers, Part, Plan, RowGroup, ScanHead
from attention_surgeon.stats.scan.repeats import RepeatIndex

_FAINTEST = -700.0
"""Scores this far below their row's largest count as if they were this far: a weight of 1e-304 in place of less.

So a weight is above 0 exactly where the key is visible."""

_LEAST_PEAK = 1e-30

COLUMNS = (*(name for name in (*COUNTS, *SUMS) if name not in ("num_empty", "largest")), "output_norm")
"""One number each for every row; summed over the rows they are the fields of `RowSums` of the same name."""


@final
class RowTable:
    """The numbers of some rows, float64 `(r, len(COLUMNS))`, by name."""

    def __init__(self, numbers: Tensor) -> None:
        """Take the table as it is."""
        self.numbers = numbers

    @classmethod
    def zeros(cls, num_rows: int, device: torch.device) -> "RowTable":
        """Return a table of zeros."""
        return cls(torch.zeros(num_rows, len(COLUMNS), dtype=torch.float64, device=device))

    def __getitem__(self, name: str) -> Tensor:
        """Return a column, `(r,)`; what is added to it in place is added to the table."""
        return self.numbers[:, COLUMNS.index(name)]

    def __setitem__(self, name: str, column: Tensor) -> None:
        """Replace a column."""
        self.numbers[:, COLUMNS.index(name)] = column


@final
@dataclass(frozen=True, eq=False)
class GroupResult:
    """What was found of some rows.

    Attributes:
        group: The rows.
        table: What was found of each.
        first_key: Which key the first number of `received` is of.
        received: `(c,)`, the sum over the rows of what each key gets; None: only the map was asked for.
        largest: `(r, columns of the map)`, the largest weight of each row in each cell; None: no map.
        mass: `(r, columns of the map)`, the sum of weights of each row in each cell; None: no map.
    """

    group: RowGroup
    table: RowTable
    first_key: int
    received: Tensor | None
    largest: Tensor | None
    mass: Tensor | None


@final
class GroupScan:
    """The work on one group of rows; `run` does it."""

    def __init__(
        self, head: ScanHead, group: RowGroup, plan: Plan, options: StatisticsOptions | None, buffers: Buffers
    ) -> None:
        """Make everything ready; `options` None: only the map is wanted."""
        self.head, self.group, self.plan, self.options, self.buffers = head, group, plan, options, buffers
        self.is_exact = not head.is_safe(group)
        query, self.key, self.value = head.exact if self.is_exact else head.fast
        self.query = query[group.rows]
        self.positions = head.positions(group.rows)
        num_rows, num_tiles = len(group.rows), len(plan.tiles)
        self.mass, self.largest = self.query.new_zeros(2, num_rows, num_tiles, plan.most_cells)
        self.peak = self.query.new_full((num_rows,), _LEAST_PEAK)
        self.log_terms, self.references, self.moments = self.query.new_zeros(3, num_tiles, num_rows)
        self.num_visible = torch.zeros_like(group.rows)
        self.table = RowTable.zeros(num_rows, query.device)
        self.output = None
        if self.value is not None and options is not None:
            self.output = self.query.new_zeros(num_rows, self.value.shape[-1])

    def run(self) -> GroupResult:
        """Do it."""
        parts = self._parts()
        shift = self._make_exact_scores(parts) if self.is_exact else None
        for part in parts:
            self._take_in(part, self._scores(part, shift))
        self.tile_mass = self.mass.sum(-1, dtype=torch.float64)  # (r, tiles, cells) -> (r, tiles)
        self.total = self.tile_mass.sum(-1)
        inverse = self.total.reciprocal().masked_fill_(self.total == 0, 0.0)
        received = None
        if self.options is not None:
            received = self._second_walk(parts, inverse, self.options)
            self._finish_places(self.options.window)
            self._finish_rows(inverse)
        share, has_map = inverse.to(self.mass.dtype)[:, None], self.plan.column_edges is not None
        return GroupResult(
            self.group,
            self.table,
            parts[0].tile.start if parts else 0,
            received,
            self.plan.on_map(self.largest, "amax") * share if has_map else None,
            self.plan.on_map(self.mass, "sum") * share if has_map else None,
        )

    def _parts(self) -> list[Part]:
        """Return the tiles that are not empty, each with its place in the memory for exponentials."""
        num_rows = len(self.group.rows)
        held = self.buffers.take("exponentials", num_rows * self.head.num_keys, self.query)
        parts = []
        for place, tile in enumerate(self.plan.tiles):
            block = self.head.mask.block(self.group.runs, tile.start, tile.stop, self.query.device)
            if block.kind is TileKind.EMPTY:
                continue
            weights = held[num_rows * tile.start : num_rows * tile.stop].view(num_rows, -1)
            hidden = None if block.allowed is None else ~block.allowed
            bias = None if block.bias is None else block.bias.to(self.query.dtype)
            self.num_visible += tile.stop - tile.start if block.allowed is None else block.allowed.sum(-1)
            parts.append(Part(place, tile, weights, hidden, bias))
        return parts

    def _room(self, part: Part) -> Tensor:
        """Return memory for one tile, used for one thing after the other."""
        return self.buffers.take("tile", part.weights.numel(), self.query).view(part.weights.shape)

    def _product(self, part: Part, out: Tensor) -> Tensor:
        """Write the scores of a tile: (r, d) @ (d, c) -> (r, c)."""
        torch.mm(self.query, self.key[part.tile.start : part.tile.stop].mT, out=out)
        return out if part.bias is None else out.add_(part.bias)

    def _make_exact_scores(self, parts: list[Part]) -> Tensor:
        """Write all scores where the exponentials will be, and return the largest of each row."""
        largest = self.query.new_full((len(self.group.rows),), float("-inf"))
        for part in parts:
            self._product(part, part.weights)
            if part.hidden is not None:
                part.weights.masked_fill_(part.hidden, float("-inf"))
            torch.maximum(largest, part.weights.amax(-1), out=largest)
        return largest.masked_fill_(largest == float("-inf"), 0.0)

    def _scores(self, part: Part, shift: Tensor | None) -> Tensor:
        """Return the scores of a tile, less `shift`; whatever is hidden is finite."""
        scores = self._room(part)
        if shift is not None:
            return torch.sub(part.weights, shift[:, None], out=scores).clamp_(min=_FAINTEST)
        self._product(part, scores)
        return scores if part.hidden is None else scores.masked_fill_(part.hidden, 0.0)

    def _take_in(self, part: Part, scores: Tensor) -> None:
        """Make the exponentials of a tile, and take everything that does not need the sum of the whole row."""
        weights, tile, place = torch.exp(scores, out=part.weights), part.tile, part.place
        if part.hidden is not None:
            weights.masked_fill_(part.hidden, 0.0)
        self.mass[:, place, : tile.num_cells] = by_cells(weights, tile.cell_len, torch.sum)
        peaks = by_cells(weights, tile.cell_len, torch.amax)
        self.largest[:, place, : tile.num_cells] = peaks
        torch.maximum(self.peak, peaks.amax(-1), out=self.peak)
        if self.options is None:
            return
        reference = torch.log(self.peak, out=self.references[place])
        torch.mul(scores.sub_(reference[:, None]), weights, out=scores)
        torch.sum(scores, -1, out=self.log_terms[place])
        if self.output is not None and self.value is not None:
            self.output.addmm_(weights, self.value[tile.start : tile.stop])
        first, last = self._band(self.options.window)
        if tile.stop - 1 >= first and tile.start <= last:
            self._take_band(part, self.options.window)
        else:
            ramp = self.buffers.ramp(tile.stop - tile.start, weights, is_falling=tile.stop - 1 < first)
            torch.mv(weights, ramp, out=self.moments[place])
        if tile.start == 0:
            self.table["first"] = weights[:, 0]

    def _band(self, window: int) -> tuple[int, int]:
        """Return the first and the last key that are near, next to or at any row's position."""
        reach = max(window, 1)
        num_before = self.head.num_keys - self.head.num_queries
        return self.group.runs[0][0] + num_before - reach, self.group.runs[-1][-1] + num_before + reach

    def _take_band(self, part: Part, window: int) -> None:
        """Take near and far and the distance cell by cell, where the diagonal passes."""
        ramp = self.buffers.ramp(part.weights.shape[-1], part.weights, is_falling=False)
        distance = (ramp - (self.positions - part.tile.start)[:, None]).abs_()
        near = part.weights * (distance <= window)
        self.table["near"] += near.sum(-1)
        self.table["far"] += (part.weights - near).sum(-1)
        self.table["distance"] += distance.mul_(part.weights).sum(-1)
        self.table["own"] += part.at(self.positions)
        self.table["previous"] += part.at(self.positions - 1)
        self.table["next"] += part.at(self.positions + 1)

    def _finish_places(self, window: int) -> None:
        """Add the tiles outside the band, which are far: each ramp begins at the tile's end next to the diagonal."""
        first, last = self._band(window)
        starts, ends = self.plan.starts.to(self.query.device), self.plan.ends.to(self.query.device)
        before, after = ends < first, starts > last
        ahead = torch.where(before, self.positions[:, None] - ends, starts - self.positions[:, None])
        outside = self.tile_mass * (before | after)
        self.table["far"] += outside.sum(-1)
        self.table["distance"] += (ahead * outside).sum(-1) + self.moments.sum(0, dtype=torch.float64)

    def _second_walk(self, parts: list[Part], inverse: Tensor, options: StatisticsOptions) -> Tensor:
        """Do what needs the sum of each row; return what each key receives."""
        first, last = (parts[0].tile.start, parts[-1].tile.stop) if parts else (0, 0)
        received = self.query.new_zeros(last - first)
        share = inverse.to(self.query.dtype)
        even = (self.total / self.num_visible.clamp(min=1)).to(self.query.dtype)[:, None]
        small = (self.total * options.threshold).to(self.query.dtype)[:, None]
        evens, smalls = self.query.new_zeros(2, len(parts), len(share))
        for place, part in enumerate(parts):
            torch.mv(part.weights.mT, share, out=received[part.tile.start - first : part.tile.stop - first])
            room = self._room(part)
            torch.sum(torch.minimum(part.weights, even, out=room), -1, out=evens[place])
            torch.sum(torch.lt(part.weights, small, out=room), -1, out=smalls[place])
            if part.hidden is not None:  # a hidden cell holds 0, which is below the threshold, unless that is 0 too
                smalls[place] -= part.hidden.sum(-1) * (small[:, 0] > 0)
        self.table["even"] = evens.sum(0, dtype=torch.float64)
        self.table["num_small"] = smalls.sum(0, dtype=torch.float64)
        if self.head.repeats is not None:
            self._take_repeats(self.head.repeats, parts)
        return received

    def _take_repeats(self, repeats: RepeatIndex, parts: list[Part]) -> None:
        """Add up what goes to the keys after earlier occurrences of each row's token."""
        rows, keys = repeats.pairs(self.positions)
        for part in parts:
            here = (keys >= part.tile.start) & (keys < part.tile.stop)
            weights = part.weights[rows[here], keys[here] - part.tile.start].double()
            self.table["induction"].index_add_(0, rows[here], weights)
            self.table["num_repeated"].index_add_(0, rows[here], (weights > 0).double())
        self.table["num_repeated"].clamp_(max=1.0)

    def _finish_rows(self, inverse: Tensor) -> None:
        """Turn sums of exponentials into sums of weights, and count."""
        table, counts, visible = self.table, self.total > 0, self.num_visible
        for name in ("first", "near", "far", "distance", "own", "previous", "next", "even", "induction"):
            table[name] *= inverse
        log_mass = (self.log_terms.double() + self.references.double() * self.tile_mass.mT).sum(0)
        has_choice = counts & (visible > 1)
        entropy = torch.where(has_choice, self.total.log() - log_mass * inverse, 0.0).clamp_(min=0.0)
        table["entropy"] = entropy
        table["entropy_share"] = entropy / visible.clamp(min=2).double().log()
        table["effective_keys"] = torch.where(counts, entropy.exp(), 0.0)
        table["row_largest"] = self.peak * inverse
        table["num_rows"] = counts
        table["num_choices"] = has_choice
        table["num_with_previous"] = counts & (self.positions > 0)
        table["num_with_next"] = counts & (self.positions >= -1) & (self.positions < self.head.num_keys - 1)
        table["num_cells"] = torch.where(counts, visible, 0)
        if self.output is not None:
            table["output_norm"] = (self.output.double() * inverse[:, None]).norm(dim=-1)


@final
class HeadTotals:
    """Everything found of one head so far.

    Attributes:
        table: One line for each query that was looked at, in order of the groups.
        rows: Which queries these are.
        received: `(n_k,)`, float64: Σ over these queries of what each key gets.
    """

    def __init__(self, head: ScanHead, plan: Plan) -> None:
        """Begin with no rows."""
        self._head, self._plan = head, plan
        self._tables: list[Tensor] = []
        self._rows: list[Tensor] = []
        self.received = torch.zeros(head.num_keys, dtype=torch.float64, device=head.query.device)
        cells = (0, 0) if plan.row_edges is None else (len(plan.row_edges) - 1, plan.num_columns)
        self._mass, self._largest = self.received.new_zeros(2, *cells, dtype=torch.float32)
        self._rows_in_cell = self.received.new_zeros(cells[0])

    def add(self, result: GroupResult) -> None:
        """Add what was found of a group."""
        self._tables.append(result.table.numbers)
        self._rows.append(result.group.rows)
        if result.received is not None:
            self.received[result.first_key : result.first_key + len(result.received)] += result.received
        if result.mass is not None and result.largest is not None:
            self._add_cells(result.group.rows, result.mass.double(), result.largest.float())

    def add_rows(self, rows: Tensor, table: RowTable, received: Tensor | None, cells: Tensor | None) -> None:
        """Add rows whose weights are in `grids` already, in these rows of cells; None: no map."""
        self._tables.append(table.numbers)
        self._rows.append(rows)
        if received is not None:
            self.received += received
        if cells is not None:
            self._count(cells)

    @property
    def grids(self) -> tuple[Tensor, Tensor]:
        """Sums and largest ones of the map's cells, float32; a group of rows is added as one number."""
        return self._mass, self._largest

    def row_of_cells(self, rows: Tensor) -> Tensor:
        """Return the row of the map's cells that each row belongs to."""
        assert self._plan.row_edges is not None
        first, second, *_ = self._plan.row_edges
        return (rows - first) // (second - first)

    def _add_cells(self, rows: Tensor, mass: Tensor, largest: Tensor) -> None:
        """Pool rows into rows of cells."""
        of_rows = self.row_of_cells(rows)
        cells, own = of_rows.unique_consecutive(return_inverse=True)
        self._mass[cells] += mass.new_zeros(len(cells), mass.shape[1]).index_add_(0, own, mass).float()
        of_each = own[:, None].expand_as(largest)
        pooled = largest.new_zeros(len(cells), largest.shape[1]).scatter_reduce_(0, of_each, largest, "amax")
        self._largest[cells] = torch.maximum(self._largest[cells], pooled)
        self._count(of_rows)

    def _count(self, cells: Tensor) -> None:
        """Count a row for each of these rows of cells."""
        self._rows_in_cell += torch.bincount(cells, minlength=len(self._rows_in_cell))

    @property
    def num_queries(self) -> int:
        """n_q."""
        return self._head.num_queries

    @property
    def rows(self) -> Tensor:
        """Which queries were looked at."""
        return self._rows[0] if len(self._rows) == 1 else torch.cat(self._rows)

    @property
    def table(self) -> RowTable:
        """What was found of each of them."""
        return RowTable(self._tables[0] if len(self._tables) == 1 else torch.cat(self._tables))

    @property
    def num_looked_at(self) -> int:
        """How many queries these are."""
        return sum(map(len, self._rows))

    def _means(self, columns: Edges) -> Tensor:
        """Return the means of the map's cells in the place of their sums."""
        usual, last = columns[1] - columns[0], columns[-1] - columns[-2]
        if usual == 1 and bool((self._rows_in_cell == 1).all()):
            return self._mass
        means = self._mass.div_((self._rows_in_cell * usual).float()[:, None])
        if last < usual:
            means[:, -1] *= usual / last
        return means

    @staticmethod
    def pooled(heads: "Sequence[HeadTotals]", leading: tuple[int, ...]) -> PooledMap | None:
        """Return the map of heads, in the order of `leading`; no more rows can be added then. None: none was asked for.

        It is that of all weights, or of those rows that were looked at.
        """
        head, plan = heads[0]._head, heads[0]._plan
        if plan.row_edges is None or plan.column_edges is None:
            return None
        largest = _together([one._largest for one in heads], leading).cpu()
        mean = _together([one._means(plan.column_edges) for one in heads], leading).cpu()
        return PooledMap(largest, mean, plan.row_edges, plan.column_edges, head.num_queries, head.num_keys)


def _together(grids: list[Tensor], leading: tuple[int, ...]) -> Tensor:
    """Return `(*leading, ...)` from one tensor for each head; that of a single head is not copied."""
    joint = grids[0] if len(grids) == 1 else torch.stack(grids)
    return joint.reshape(*leading, *grids[0].shape)
