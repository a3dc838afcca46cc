"""The tiles of one block of queries, with the numbers that the mask adds to their scores."""

import math
from collections.abc import Hashable
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.kernels.problem import Block, Problem
from attention_surgeon.kernels.visible import runs_of_keys
from attention_surgeon.masks import TileKind


class Tile(NamedTuple):
    """Keys that a block of queries may see.

    Attributes:
        columns: Which keys.
        added: What is added to the scores, `(1 or units, r or 1, c or 1)`; None: nothing, all see all.
    """

    columns: slice
    added: Tensor | None

    @property
    def hidden(self) -> Tensor | None:
        """Where the scores are hidden."""
        return None if self.added is None else self.added == -math.inf


@final
class Tiles:
    """Finds the tiles of block after block, one worker's own; heads that share a mask share its tiles."""

    def __init__(self, problem: Problem) -> None:
        """Begin with no block."""
        self._problem = problem
        self._rows: slice | None = None
        self._positions: list[int] = []
        self._runs: list[tuple[slice, bool]] = []
        self._cells: dict[int, Tensor] = {}
        self._same: dict[Hashable, Tensor | None] = {}
        self._tiles: list[Tile] = []

    def of(self, block: Block) -> list[Tile]:
        """Return the tiles of a block in the order of the keys; what is empty is left out."""
        problem = self._problem
        positions = problem.mask_of[block.units]
        if len(set(positions)) == 1:
            positions = positions[:1]
        if block.rows != self._rows:
            self._rows, self._positions, self._cells = block.rows, [], {}
            self._runs = list(runs_of_keys(problem.visible, block.rows, problem.sizes[2], problem.width))
        if positions != self._positions:
            self._positions = positions
            self._tiles = [tile for columns, is_full in self._runs if (tile := self._tile(columns, is_full))]
        return self._tiles

    def _tile(self, columns: slice, is_full: bool) -> Tile | None:
        visible = self._problem.visible
        if is_full or visible is None:
            return Tile(columns, None)
        assert self._rows is not None  # set before any tile is made
        pattern = visible.pattern(self._rows, columns)
        if pattern is not None and pattern in self._same:
            return Tile(columns, self._same[pattern])
        if columns.start not in self._cells:
            self._cells[columns.start] = visible.cells(self._rows, columns)
        cells = self._cells[columns.start]
        own = [cells[np.unravel_index(at, cells.shape[:-2])] for at in self._positions]
        picked = own[0].unsqueeze(0) if len(own) == 1 else torch.stack(own)
        kind = visible.kind_of_cells(picked)
        if kind is TileKind.EMPTY:
            return None
        added = None if kind is TileKind.FULL else visible.added(picked, self._problem.query.dtype)
        if pattern is not None:
            self._same[pattern] = added
        return Tile(columns, added)
