"""The scores of one tile, in forward and backward alike: what is recomputed must be what was computed."""

import math
from typing import final

import torch
from torch import Tensor

from attention_surgeon.kernels.problem import (
    BOUNDED_BELOW,
    EXACT_ABOVE,
    FEW_KEYS,
    Block,
    Precision,
    Problem,
    all_finite,
)
from attention_surgeon.kernels.tiles import Tile


def exact_above(problem: Problem) -> float:
    """Return the scores from which on they are computed in float64."""
    is_widest = problem.query.dtype == torch.float64
    return math.inf if is_widest else EXACT_ABOVE * problem.coarsest / 2.0**-23


@final
class Reach:
    """How large the scores of a block can be: `|q| |k|` by Cauchy and Schwarz, found in one pass over each."""

    def __init__(self, problem: Problem, query: Tensor, key: list[float]) -> None:
        """Keep the lengths of scaled queries `(units, n_q)` and the longest key of each entry."""
        self._problem, self._query, self._key = problem, query, key

    @classmethod
    def of(cls, problem: Problem) -> "Reach":
        """Measure queries and keys."""
        query = torch.linalg.vector_norm(problem.query, dim=-1) * abs(problem.factor)
        key = torch.linalg.vector_norm(problem.key, dim=-1).amax(-1).tolist() if problem.key.numel() else [0.0]
        return cls(problem, query, key)

    def within(self, unit: int, rows: slice, inner: Problem) -> "Reach":
        """Return that of a problem whose queries are the `rows` of one unit, one behind the other, and its keys."""
        longest = self._key[self._problem.kv_of[unit]]
        return Reach(inner, self._query[unit, rows].view(inner.query.shape[:2]), [longest] * inner.key.shape[0])

    @property
    def is_finite(self) -> bool:
        """Say whether no query and no key holds NaN or infinity, nor is so long that its length is infinite."""
        return all_finite(self._query) and all(math.isfinite(length) for length in self._key)

    def precision(self, block: Block, tiles: list[Tile]) -> Precision:
        """Return what the scores of a block need; NaN and infinity need the most."""
        problem = self._problem
        longest_key = max((self._key[kv] for kv in problem.kv_of[block.units]), default=0.0)
        reach = float(self._query[block].amax()) * longest_key
        if problem.visible is not None:
            reach += problem.visible.limit
        num_keys = sum(tile.columns.stop - tile.columns.start for tile in tiles)
        if reach <= BOUNDED_BELOW and num_keys > FEW_KEYS:
            return Precision.BOUNDED
        if reach <= exact_above(problem):
            return Precision.SHIFTED
        return Precision.EXACT


@final
class Scratch:
    """Memory that one worker uses again for every tile."""

    def __init__(self, device: torch.device) -> None:
        """Begin with none."""
        self._device = device
        self._flat: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """Return a contiguous tensor of this shape whose contents are old."""
        size, flat = math.prod(shape), self._flat.get((name, dtype))
        if flat is None or flat.numel() < size:
            flat = self._flat[name, dtype] = torch.empty(size, dtype=dtype, device=self._device)
        return flat[:size].view(shape)


def scaled_query(problem: Problem, block: Block, precision: Precision) -> Tensor:
    """Return the queries of a block in units of log 2 `(u, r, d)`, in the precision of their scores."""
    query = problem.query[block]
    return (query.double() if precision is Precision.EXACT else query) * problem.factor


def tile_scores(query: Tensor, key: Tensor, tile: Tile, scratch: Scratch, is_careful: bool) -> Tensor:
    """Return `query @ key` and what the mask adds, `(u, r, c)`.

    Args:
        query: From `scaled_query`.
        key: `(1 or u, c, d)`.
        tile: Which tile.
        scratch: Where the result lies until the next tile.
        is_careful: Whether a hidden score may be NaN, which would stay NaN whatever is added.
    """
    key = expand_units(key.to(query.dtype), query.shape[0])
    scores = scratch.take("scores", query.dtype, (*query.shape[:2], key.shape[1]))
    torch.bmm(query, key.mT, out=scores)  # (u, r, d) @ (u, d, c) -> (u, r, c)
    if tile.added is not None:
        scores += tile.added
        if is_careful:
            scores.masked_fill_(tile.added == -math.inf, -math.inf)
    return scores


def expand_units(tensor: Tensor, units: int) -> Tensor:
    """Return `(1 or units, ...)` as `(units, ...)`, without a copy."""
    return tensor if tensor.shape[0] == units else tensor.expand(units, -1, -1)


def exponentials(scores: Tensor, shift: Tensor | None, dtype: torch.dtype, scratch: Scratch) -> Tensor:
    """Return `2 ** (scores - shift)` in `dtype`, in place where it is the scores' own."""
    if shift is not None:
        scores -= shift
    if scores.dtype != dtype:
        scores = scratch.take("narrow", dtype, tuple(scores.shape)).copy_(scores)
    return scores.exp2_()
