"""How a scan cuts its work: keys into tiles that fit into the cache, rows into groups that are worked on together."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias, final

import torch
from torch import Tensor

from attention_surgeon.stats.maps import Edges
from attention_surgeon.stats.scan.mask import HeadMask
from attention_surgeon.stats.scan.repeats import RepeatIndex

TILE_LEN = 1024
"""Keys of a tile: 128 rows of it are 512 KiB, half of a usual second-level cache."""

_MOST_ROWS = 128

_LEAST_ROWS = 16

_GROUP_BYTES = 1 << 25

Operands: TypeAlias = tuple[Tensor, Tensor, Tensor | None]

SAFE_SCORE = 40.0
"""Scores up to this size need no maximum taken off in float32: e^40 times a million keys is below its largest number,
e^-40 is no denormal, and a score is known to 40 · 2^-24, so a weight to a few parts in a million."""


@final
@dataclass(frozen=True)
class Tile:
    """A run of keys.

    Attributes:
        start: The first key.
        stop: The key after the last.
        cell_len: How many keys are pooled; the last cell of the tile may have fewer.
    """

    start: int
    stop: int
    cell_len: int

    @property
    def num_cells(self) -> int:
        """Into how many cells it is pooled."""
        return -(-(self.stop - self.start) // self.cell_len)


@final
@dataclass(frozen=True)
class Plan:
    """The tiles of all keys, in order, and the map that is made of them.

    Attributes:
        num_keys: n_k.
        tiles: They cover all keys.
        row_edges: Of the map's cells; None: no map.
        column_edges: Of the map's cells; None: no map.
        in_map: Which of the tiles lie in the map's window; no tile lies across its border.
    """

    num_keys: int
    tiles: tuple[Tile, ...]
    row_edges: Edges | None
    column_edges: Edges | None
    in_map: range

    @classmethod
    def of(cls, num_keys: int, edges: tuple[Edges, Edges] | None) -> "Plan":
        """Return the plan for a map with these edges of rows and columns.

        >>> plan = Plan.of(2000, ((0, 9), (600, 1300, 1990)))
        >>> [(tile.start, tile.stop, tile.cell_len) for tile in plan.tiles], plan.in_map
        ([(0, 600, 600), (600, 1300, 700), (1300, 1990, 700), (1990, 2000, 10)], range(1, 3))
        """
        if edges is None:
            return cls(num_keys, tuple(_plain(range(num_keys))), None, None, range(0))
        rows, columns = edges
        before, inside = tuple(_plain(range(columns[0]))), tuple(_pooled(columns))
        after = _plain(range(columns[-1], num_keys))
        shown = range(len(before), len(before) + len(inside))
        return cls(num_keys, (*before, *inside, *after), rows, columns, shown)

    @property
    def num_columns(self) -> int:
        """How many columns of cells the map has."""
        return 0 if self.column_edges is None else len(self.column_edges) - 1

    @cached_property
    def most_cells(self) -> int:
        """The largest number of cells in a tile."""
        return max(tile.num_cells for tile in self.tiles)

    @cached_property
    def starts(self) -> Tensor:
        """Where each tile starts, `(tiles,)`."""
        return torch.tensor([tile.start for tile in self.tiles])

    @cached_property
    def ends(self) -> Tensor:
        """The last key of each tile, `(tiles,)`."""
        return torch.tensor([tile.stop - 1 for tile in self.tiles])

    def on_map(self, cells: Tensor, how: str) -> Tensor:
        """Return `(r, columns of the map)` from what was pooled, `(r, tiles, most_cells)`; `how` is "sum" or "amax".

        Where a cell of the map is longer than a tile, its tiles have one cell each, and are pooled once more.
        """
        assert self.column_edges is not None
        shown, cell_len = cells[:, self.in_map.start : self.in_map.stop], self.column_edges[1] - self.column_edges[0]
        if cell_len <= TILE_LEN:
            return shown.flatten(1)[:, : self.num_columns]
        column = (self.starts[self.in_map.start : self.in_map.stop] - self.column_edges[0]) // cell_len
        found = cells.new_zeros(len(cells), self.num_columns)
        return found.scatter_reduce_(1, column.to(cells.device).expand(len(cells), -1), shown[..., 0], how)


@final
@dataclass(frozen=True, eq=False)
class RowGroup:
    """Query rows that are worked on together.

    Attributes:
        rows: `(r,)`, increasing.
        runs: The same as runs of neighbours.
    """

    rows: Tensor
    runs: tuple[range, ...]

    @classmethod
    def of(cls, rows: Tensor) -> "RowGroup":
        """Return the group of these rows, increasing.

        >>> RowGroup.of(torch.tensor([3, 4, 7])).runs
        (range(3, 5), range(7, 8))
        """
        places = rows.tolist()
        begins = [place for place, (a, b) in enumerate(pairwise(places), 1) if b != a + 1]
        bounds = [0, *begins, len(places)]
        return cls(rows, tuple(range(places[a], places[b - 1] + 1) for a, b in pairwise(bounds)))


def groups_of(rows: Tensor, num_keys: int, bytes_each: int) -> Iterator[RowGroup]:
    """Yield rows in groups whose weights, all keys long, fill at most some 32 MiB."""
    at_once = min(max(_GROUP_BYTES // (bytes_each * max(num_keys, 1)), _LEAST_ROWS), _MOST_ROWS)
    for some in torch.split(rows, at_once):
        yield RowGroup.of(some)


def _plain(keys: range) -> Iterator[Tile]:
    for start in keys[::TILE_LEN]:
        stop = min(start + TILE_LEN, keys.stop)
        yield Tile(start, stop, stop - start)


def _pooled(edges: Edges) -> Iterator[Tile]:
    cell_len = edges[1] - edges[0]
    if cell_len > TILE_LEN:
        for start, stop in pairwise(edges):
            yield from _plain(range(start, stop))
        return
    step = TILE_LEN // cell_len
    for first in range(0, len(edges) - 1, step):
        yield Tile(edges[first], edges[min(first + step, len(edges) - 1)], cell_len)


@final
@dataclass(frozen=True, eq=False)
class ScanHead:
    """What is known of one head before its rows are looked at.

    The softmax does not change if all scores of a row move alike. So the mean of the keys is taken off every key: that
    moves a row by one number, and makes scores small where keys share a direction, as they do in trained models.

    Attributes:
        query: `(n_q, d)`, finite.
        key: `(n_k, d)`, finite.
        value: `(n_k, d_v)`, finite, or None.
        mask: Who may attend to whom.
        scale: What scores are multiplied by.
        largest_bias: The largest size of what the mask adds.
        repeats: Where the tokens repeat; None: induction is not measured.
    """

    query: Tensor
    key: Tensor
    value: Tensor | None
    mask: HeadMask
    scale: float
    largest_bias: float = 0.0
    repeats: RepeatIndex | None = None

    @property
    def num_queries(self) -> int:
        """n_q."""
        return self.query.shape[0]

    @property
    def num_keys(self) -> int:
        """n_k."""
        return self.key.shape[0]

    def positions(self, rows: Tensor) -> Tensor:
        """Return where queries stand among the keys: the last query at the last key."""
        return rows + (self.num_keys - self.num_queries)

    def is_safe(self, group: RowGroup) -> bool:
        """Say whether no score of these rows can be larger than `SAFE_SCORE`, by Cauchy and Schwarz."""
        return bool(self.are_safe(group.rows).all())

    def are_safe(self, rows: Tensor) -> Tensor:
        """Say so of each of some rows, `(r,)`, increasing."""
        if self.query.dtype == torch.float64:
            return torch.zeros_like(rows, dtype=torch.bool)
        lengths = self._query_lengths if len(rows) == self.num_queries else self._query_lengths[rows]
        return lengths * self._longest_key + self.largest_bias <= SAFE_SCORE

    @cached_property
    def fast(self) -> Operands:
        """Query times scale, key less the mean, and value, in float32."""
        query = (self.query.double() * self.scale).float()
        return query, self.fast_key, None if self.value is None else self.value.float()

    @cached_property
    def fast_key(self) -> Tensor:
        """Key less the mean, in float32."""
        key = self.key.float()
        return key - key.mean(0)  # rounded or not: it is the same for every key

    @cached_property
    def exact(self) -> Operands:
        """The same in float64."""
        key = self.key.double()
        return self.query.double() * self.scale, key - key.mean(0), None if self.value is None else self.value.double()

    @cached_property
    def _query_lengths(self) -> Tensor:
        return torch.linalg.vector_norm(self.query.float(), dim=-1) * abs(self.scale)

    @cached_property
    def _longest_key(self) -> float:
        return torch.linalg.vector_norm(self.fast_key, dim=-1).max().item()


@final
class Buffers:
    """Memory that a thread uses again and again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, size: int, like: Tensor) -> Tensor:
        """Return `size` numbers of the dtype and device of `like`, whatever they hold."""
        held = self._held.get((name, like.dtype))
        if held is None or held.numel() < size:
            held = self._held[name, like.dtype] = torch.empty(size, dtype=like.dtype, device=like.device)
        return held[:size]

    def ramp(self, length: int, like: Tensor, *, is_falling: bool) -> Tensor:
        """Return 0, 1, ... or, falling, ..., 1, 0."""
        name = f"ramp {length} {is_falling}"
        if (name, like.dtype) not in self._held:
            rising = torch.arange(length, dtype=like.dtype, device=like.device)
            self._held[name, like.dtype] = rising.flip(0) if is_falling else rising
        return self._held[name, like.dtype]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A tile that is not empty.

    Attributes:
        place: Which of the plan's tiles.
        tile: Which keys.
        weights: `(r, c)`, the exponentials, 0 where hidden.
        hidden: Boolean `(r, c)`; None: every key is visible to every row.
        bias: `(r, c)`, what the mask adds to the scores.
    """

    place: int
    tile: Tile
    weights: Tensor
    hidden: Tensor | None
    bias: Tensor | None

    def at(self, keys: Tensor) -> Tensor:
        """Return for each row the exponential at one key, 0 where the tile does not hold it; `keys` `(r,)`."""
        column = keys - self.tile.start
        is_here = (column >= 0) & (column < self.weights.shape[-1])
        found = self.weights.gather(1, column.clamp(0, self.weights.shape[-1] - 1)[:, None])[:, 0]
        return found * is_here
