"""The weights of a long context as a small picture: in each cell of a grid the largest weight and the mean.

Both are needed. A mean over 128 x 128 weights turns a lone 0.9 into 0.00005, the maximum keeps it; the maximum alone
cannot tell one strong weight from a whole bright block.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import (
    ArgumentTypeError,
    DTypeError,
    FileFormatError,
    OptionError,
    ShapeError,
    SurgeonError,
)
from attention_surgeon.masks.blocks import WHOLE, block_range
from attention_surgeon.require import kind_of, require_count, require_floating
from attention_surgeon.stats.tensor_file import TensorFile

Edges = tuple[int, ...]

_FILE = TensorFile("pooled map", 1)

_NUMBERS = ("row_edges", "column_edges", "num_queries", "num_keys")

RESOLUTION = 512
"""At most so many cells along each side, where nothing else is said."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class PooledMap:
    """The weights between two runs of positions, pooled into cells.

    The cell in row i and column j stands for the queries `row_edges[i]` up to `row_edges[i + 1]` (without it) and the
    keys `column_edges[j]` up to `column_edges[j + 1]`. A hidden weight counts as 0, and so does every weight of a query
    without keys, so that the mean times the number of weights in a cell is the attention that flows there.

    Attributes:
        largest: The largest weight of each cell, float32 `(*leading, rows, columns)`; leading axes such as heads.
        mean: The mean weight of each cell, of the same shape.
        row_edges: Where the rows begin, and at the end where the last one ends; positions of queries, increasing.
        column_edges: The same for the columns; positions of keys.
        num_queries: n_q of the whole map, of which this may be a window.
        num_keys: n_k of the whole map.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: a field that does not fit the others.

    >>> import torch
    >>> from attention_surgeon.stats import pool_weights
    >>> pooled = pool_weights(torch.eye(8), resolution=4)
    >>> pooled
    PooledMap(4 x 4 cells, queries 0:8 of 8, keys 0:8 of 8)
    >>> pooled.mean[0], pooled.largest[0]
    (tensor([0.5000, 0.0000, 0.0000, 0.0000]), tensor([1., 0., 0., 0.]))
    """

    largest: Float[Tensor, "*batch r c"]
    mean: Float[Tensor, "*batch r c"]
    row_edges: Edges
    column_edges: Edges
    num_queries: int
    num_keys: int

    def __post_init__(self) -> None:
        """Refuse grids and edges that do not belong together."""
        _check_edges(self.row_edges, self.num_queries, "row_edges", "queries")
        _check_edges(self.column_edges, self.num_keys, "column_edges", "keys")
        cells = (len(self.row_edges) - 1, len(self.column_edges) - 1)
        for name in ("largest", "mean"):
            _check_grid(getattr(self, name), name, cells)
        if self.largest.shape != self.mean.shape:
            raise ShapeError(
                f"PooledMap: largest has shape {tuple(self.largest.shape)} and mean {tuple(self.mean.shape)}; "
                f"they must be the same."
            )

    def __repr__(self) -> str:
        """Return one short line: the cells and the window."""
        rows, columns = self.mean.shape[-2:]
        leading = "".join(f"{size} x " for size in self.mean.shape[:-2])
        return (
            f"PooledMap({leading}{rows} x {columns} cells, queries {self.rows.start}:{self.rows.stop} of "
            f"{self.num_queries}, keys {self.columns.start}:{self.columns.stop} of {self.num_keys})"
        )

    @property
    def rows(self) -> range:
        """The queries that are shown."""
        return range(self.row_edges[0], self.row_edges[-1])

    @property
    def columns(self) -> range:
        """The keys that are shown."""
        return range(self.column_edges[0], self.column_edges[-1])

    @property
    def areas(self) -> Float[Tensor, "r c"]:
        """The number of weights behind each cell, float32 `(rows, columns)`."""
        heights = torch.tensor(self.row_edges).diff().float()
        return heights[:, None] * torch.tensor(self.column_edges).diff().float()

    def select(self, *index: int) -> "PooledMap":
        """Return the map at one place of the leading axes, for instance that of one head.

        Raises:
            OptionError: there is no such place.
        """
        leading = tuple(self.mean.shape[:-2])
        fits = len(index) <= len(leading) and all(-n <= i < n for i, n in zip(index, leading, strict=False))
        if not fits:
            raise OptionError(
                f"select: the place is {index}, but the axes before rows and columns have sizes {leading}."
            )
        return self._with(self.largest[index], self.mean[index], self.row_edges, self.column_edges)

    def halved(self) -> "PooledMap":
        """Return the map with cells of twice the height and width; a last odd row or column keeps its size.

        Exact: what a direct pooling into these cells gives, up to the rounding of float32.
        """
        rows, columns = self.row_edges, self.column_edges
        mass = _sum_pairs(_sum_pairs((self.mean * self.areas), -1), -2)
        largest = _max_pairs(_max_pairs(self.largest, -1), -2)
        coarse = self._with(largest, largest, _every_second(rows), _every_second(columns))
        return self._with(largest, mass / coarse.areas, coarse.row_edges, coarse.column_edges)

    def pyramid(self, smallest: int = 1) -> "tuple[PooledMap, ...]":
        """Return this map and its halves, until neither side has more than `smallest` cells.

        >>> import torch
        >>> from attention_surgeon.stats import pool_weights
        >>> [tuple(level.mean.shape) for level in pool_weights(torch.eye(5)).pyramid()]
        [(5, 5), (3, 3), (2, 2), (1, 1)]
        """
        levels: list[PooledMap] = [self]
        while max(levels[-1].mean.shape[-2:]) > smallest:
            levels.append(levels[-1].halved())
        return tuple(levels)

    def save(self, path: str | Path) -> None:
        """Write the map to a safetensors file that `load_map` reads back exactly; whole or not at all.

        Raises:
            FileAccessError: the file cannot be written.
        """

        save_map(self, path)

    def _with(self, largest: Tensor, mean: Tensor, rows: Edges, columns: Edges) -> "PooledMap":
        return PooledMap(largest, mean, rows, columns, self.num_queries, self.num_keys)


@lru_cache(maxsize=16)
def cell_edges(positions: range, resolution: int) -> Edges:
    """Return where cells of one size begin that cut `positions` into at most `resolution`; the last may be smaller.

    >>> cell_edges(range(10), 4), cell_edges(range(6, 9), 512)
    ((0, 3, 6, 9, 10), (6, 7, 8, 9))
    """
    size = max(-(-len(positions) // resolution), 1)
    return (*range(positions.start, positions.stop, size), positions.stop)


def _every_second(edges: Edges) -> Edges:
    return edges[::2] if len(edges) % 2 else (*edges[::2], edges[-1])


def _sum_pairs(grid: Tensor, dim: int) -> Tensor:
    """Add neighbours along an axis; a last one without neighbour stays."""
    first, second = grid.movedim(dim, 0)[::2].clone(), grid.movedim(dim, 0)[1::2]
    first[: len(second)] += second
    return first.movedim(0, dim)


def _max_pairs(grid: Tensor, dim: int) -> Tensor:
    first, second = grid.movedim(dim, 0)[::2].clone(), grid.movedim(dim, 0)[1::2]
    torch.maximum(first[: len(second)], second, out=first[: len(second)])
    return first.movedim(0, dim)


def _check_edges(edges: object, count: object, name: str, what: str) -> None:
    if not isinstance(edges, tuple) or not all(issubclass(kind, int) for kind in set(map(type, edges))):
        raise ArgumentTypeError(f"PooledMap: {name} is {kind_of(edges)}, expected a tuple of whole numbers.")
    if not isinstance(count, int) or len(edges) < 2 or not all(map(operator.lt, edges, edges[1:])):
        raise OptionError(f"PooledMap: {name} has {len(edges)} entries, expected at least 2 that increase.")
    if edges[0] < 0 or edges[-1] > count:
        raise OptionError(f"PooledMap: {name} runs from {edges[0]} to {edges[-1]}, but there are {count} {what}.")


def _check_grid(grid: object, name: str, cells: tuple[int, int]) -> None:
    if not isinstance(grid, Tensor):
        raise ArgumentTypeError(f"PooledMap: {name} is {kind_of(grid)}, expected a torch.Tensor.")
    if grid.dtype != torch.float32:
        raise DTypeError(f"PooledMap: {name} has dtype {grid.dtype}, expected torch.float32; use {name}.float().")
    if grid.shape[-2:] != cells:
        raise ShapeError(
            f"PooledMap: {name} has shape {tuple(grid.shape)}, expected (*leading, {cells[0]}, {cells[1]}), "
            f"one cell between each two edges."
        )


def save_map(pooled: PooledMap, path: str | Path) -> None:
    """Write `pooled` to `path`; see `PooledMap.save`."""
    _FILE.write(path, map_tensors(pooled), map_numbers(pooled))


def load_map(path: str | Path) -> PooledMap:
    """Return the map that `PooledMap.save` wrote, exactly.

    Raises:
        ArgumentTypeError: `path` is no path.
        FileAccessError: no such file, a folder, no permission.
        FileFormatError: not a pooled map, cut short, damaged, or of a newer version.

    >>> import tempfile, torch
    >>> from attention_surgeon.stats import pool_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pool_weights(torch.eye(4)).save(f"{folder}/eye.map")
    ...     load_map(f"{folder}/eye.map")
    PooledMap(4 x 4 cells, queries 0:4 of 4, keys 0:4 of 4)
    """
    tensors, about = _FILE.read(path)
    return rebuild_map(tensors, about, path)


def map_tensors(pooled: PooledMap) -> dict[str, Tensor]:
    """Return the grids by name."""
    return {"largest": pooled.largest, "mean": pooled.mean}


def map_numbers(pooled: PooledMap) -> dict[str, Any]:
    """Return everything else as plain data."""
    return {name: getattr(pooled, name) for name in _NUMBERS}


def rebuild_map(tensors: Mapping[str, Tensor], about: Mapping[str, Any], path: str | Path) -> PooledMap:
    """Put a map together again.

    Raises:
        FileFormatError: something is missing or does not fit the rest.
    """
    try:
        fields = {name: about[name] for name in _NUMBERS}
        edges = {name: tuple(fields.pop(name)) for name in _NUMBERS[:2]}
        return PooledMap(tensors["largest"], tensors["mean"], **edges, **fields)
    except KeyError as error:
        raise FileFormatError(f"{path} is a damaged pooled map: it has no {error.args[0]!r}.") from None
    except (SurgeonError, TypeError) as error:
        raise FileFormatError(f"{path} is a damaged pooled map: {error}") from None


def pool_weights(
    weights: Float[Tensor, "*batch q k"], *, resolution: int = RESOLUTION, rows: slice = WHOLE, columns: slice = WHOLE
) -> PooledMap:
    """Return the largest and the mean weight of each cell of a grid.

    Args:
        weights: `(*leading, n_q, n_k)`, floating.
        resolution: At most so many cells along each side. Cells have one size, the smallest that does; those at the
            end may be smaller. With a resolution of n_q or more every weight is a cell.
        rows: The queries to show, as one would slice a tensor (without a step).
        columns: The keys to show.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: as their texts say.

    >>> import torch
    >>> pool_weights(torch.eye(6), resolution=2, rows=slice(2, 6)).mean
    tensor([[0.1667, 0.1667],
            [0.0000, 0.3333]])
    """
    require_floating(weights, "weights", "pool_weights")
    require_count(resolution, "resolution", "pool_weights")
    n_q, n_k = _sizes(weights)
    down, across = window_edges(n_q, n_k, resolution, rows, columns, "pool_weights")
    window = weights.detach()[..., down[0] : down[-1], across[0] : across[-1]].cpu()
    largest, mass = _pooled(window, down, across, torch.amax), _pooled(window.double(), down, across, torch.sum)
    areas = torch.tensor(down).diff()[:, None] * torch.tensor(across).diff()
    return PooledMap(largest.float(), (mass / areas).float(), down, across, n_q, n_k)


def window_edges(n_q: int, n_k: int, resolution: int, rows: slice, columns: slice, caller: str) -> tuple[Edges, Edges]:
    """Return the edges of the cells that cut a window of `(n_q, n_k)` weights into at most `resolution` each way.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: no slice, a step, past the end, or nothing in it.
    """
    found = []
    for wanted, size, axis in ((rows, n_q, "rows"), (columns, n_k, "columns")):
        is_past = isinstance(wanted, slice) and isinstance(wanted.start, int) and wanted.start >= size
        if is_past or not (positions := block_range(wanted, size, axis, caller)):
            raise ShapeError(f"{caller}: {axis} is {wanted!r}, which holds none of the {size} positions.")
        found.append(cell_edges(positions, resolution))
    return found[0], found[1]


def _pooled(window: Tensor, rows: Edges, columns: Edges, how: Callable[[Tensor, int], Tensor]) -> Tensor:
    across = by_cells(window.contiguous(), columns[1] - columns[0], how)
    return by_cells(across.mT.contiguous(), rows[1] - rows[0], how).mT


def by_cells(tensor: Tensor, cell_len: int, how: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Reduce each `cell_len` numbers along the last axis to one; the last of them may be fewer."""
    *leading, length = tensor.shape
    count, rest = divmod(length, cell_len)
    if not rest:
        return how(tensor.view(*leading, count, cell_len), -1)
    parts = [how(tensor[..., : count * cell_len].unflatten(-1, (count, cell_len)), -1)] if count else []
    return torch.cat([*parts, how(tensor[..., count * cell_len :], -1)[..., None]], -1)


def _sizes(weights: Tensor) -> tuple[int, int]:
    if weights.ndim < 2 or not weights.numel():
        raise ShapeError(
            f"pool_weights: weights has shape {tuple(weights.shape)}, expected (*leading, n_q, n_k), none of them 0."
        )
    return weights.shape[-2], weights.shape[-1]
