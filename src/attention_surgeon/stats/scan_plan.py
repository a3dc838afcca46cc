"""How a scan cuts its work: keys into tiles that fit into the cache, rows into groups that are worked on together."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.maps import Edges

TILE_LEN = 1024
"""Keys of a tile: 128 rows of it are 512 KiB, half of a usual second-level cache."""

_MOST_ROWS = 128
_LEAST_ROWS = 16
_GROUP_BYTES = 1 << 25


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
