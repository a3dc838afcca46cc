"""A band of few heads as a problem of many: blocks of queries that see the same pattern of keys become units.

A query of a window sees the keys around it and no others, so every block of queries reads the same tile, moved on:

    units  (1, n_q, d)                  ->  (n_q / ROWS, ROWS, d)
    keys   (1, n_k, d)                  ->  (n_q / ROWS, reach, d), which overlap in memory and are not copied
    mask   who may attend, everywhere   ->  one tile (ROWS, reach) for all

Torch is then called once for several blocks in place of once for each. At both ends, where keys are missing, blocks
are computed as always.
"""

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from attention_surgeon.kernels.problem import NARROW_UNITS, WIDTH, Block, Problem
from attention_surgeon.kernels.visible import Visible, VisibleByYesNo, runs_of_keys
from attention_surgeon.masks import TileKind

ROWS = 128
"""Queries in a block."""
LEAST_BLOCKS = 8
"""Blocks below which there is nothing to gain."""


class Folded(NamedTuple):
    """The part of a problem that is folded.

    Attributes:
        rows: Its queries, a multiple of `ROWS` of them.
        problems: For each unit the same queries as a problem of its own.
    """

    rows: slice
    problems: list[Problem]

    def rest(self, units: int, n_q: int) -> list[Block]:
        """Return the blocks of all other queries."""
        ends = (range(0, self.rows.start, ROWS), range(self.rows.stop, n_q, ROWS))
        starts = [row for part in ends for row in part]
        return [
            Block(slice(unit, unit + 1), slice(row, min(row + ROWS, n_q))) for row in starts for unit in range(units)
        ]


def folded(problem: Problem) -> Folded | None:
    """Return what of a problem can be folded; None where the mask has another form, or units enough lie side by side.

    >>> import torch
    >>> from attention_surgeon.kernels.operands import read_operands
    >>> from attention_surgeon.masks import window_mask
    >>> x = torch.zeros(1, 4096, 8)
    >>> given = read_operands(x, x, x, window_mask(4096, size=100), True, False, "example")
    >>> part = folded(given.plan(x.dtype, 0.0, 0, "example").problem(*given.tensors()))
    >>> part.rows, tuple(part.problems[0].query.shape), tuple(part.problems[0].key.shape)
    (slice(128, 4096, None), (31, 128, 8), (31, 256, 8))
    """
    units, n_q, _ = problem.sizes
    visible = problem.visible
    if visible is None or units >= NARROW_UNITS or problem.dropout or n_q < (LEAST_BLOCKS + 2) * ROWS:
        return None
    found = _alike(visible, n_q, problem.key.shape[-2])
    if found is None:
        return None
    rows, columns = found
    cells = visible.cells(slice(rows.start, rows.start + ROWS), columns)
    if any(size != 1 for size in cells.shape[:-2]):
        return None
    mask = VisibleByYesNo(cells.reshape(1, *cells.shape[-2:]), "folded")
    return Folded(rows, [_unit(problem, unit, rows, columns, mask) for unit in range(units)])


def _alike(visible: Visible, n_q: int, n_k: int) -> tuple[slice, slice] | None:
    """Return the queries whose blocks are alike, and the keys that the first block of them sees."""
    middle = n_q // 2 // ROWS * ROWS
    runs = [run for run, _ in runs_of_keys(visible, slice(middle, middle + ROWS), n_k, WIDTH)]
    if len(runs) != 1 or runs[0].stop == n_k:
        return None
    offset, width = runs[0].start - middle, runs[0].stop - runs[0].start
    first = -(-max(0, -offset) // ROWS) * ROWS  # the first whose keys are all there; the last ends before `stop`
    stop = min(n_q, n_k - offset - width + ROWS) // ROWS * ROWS
    if stop - first < LEAST_BLOCKS * ROWS:
        return None
    for row in (first, middle, stop - ROWS):
        rows, columns = slice(row, row + ROWS), slice(row + offset, row + offset + width)
        if visible.pattern(rows, columns) is None:  # only what is alike along the diagonal has patterns
            return None
        rest = [slice(start, end) for start, end in ((0, columns.start), (columns.stop, n_k)) if start < end]
        if any(visible.kind(rows, part) is not TileKind.EMPTY for part in rest):
            return None
    return slice(first, stop), slice(first + offset, first + offset + width)


def _unit(problem: Problem, unit: int, rows: slice, columns: slice, mask: Visible) -> Problem:
    blocks = (rows.stop - rows.start) // ROWS
    kv = problem.kv_of[unit]

    def moved(x: Tensor) -> Tensor:
        part = x[kv, columns.start :]
        along, across = part.stride()
        return part.as_strided((blocks, columns.stop - columns.start, part.shape[-1]), (ROWS * along, along, across))

    return replace(
        problem,
        query=problem.query[unit, rows].unflatten(0, (blocks, ROWS)),
        key=moved(problem.key),
        value=moved(problem.value),
        kv_of=list(range(blocks)),
        visible=mask,
        mask_of=[0] * blocks,
    )
