"""The cells that a page holds of one map: each weight, or the largest and the mean of square blocks of weights."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from attention_surgeon.errors import NonFiniteError, OptionError
from attention_surgeon.stats.maps import Edges, PooledMap, pool_weights
from attention_surgeon.viewer.codes import Grid
from attention_surgeon.viewer.subject import Map

# Rounding may lift a weight above 1, by two units in the last place of bfloat16 at most.
_HIGHEST = 1 + 2 * torch.finfo(torch.bfloat16).eps


class Grids(NamedTuple):
    """The cells of one map.

    Attributes:
        largest: The largest weight of each cell, `(rows, columns)`.
        mean: The mean weight of each cell; None where a cell is one weight.
        row_edges: Where the rows begin, and where the last one ends.
        column_edges: The same for the columns.
    """

    largest: Grid
    mean: Grid | None
    row_edges: Edges
    column_edges: Edges

    def each(self) -> Iterator[Grid]:
        """Yield the grids that there are."""
        yield self.largest
        if self.mean is not None:
            yield self.mean


def grids_of(shown: Map, block: int, name: str, caller: str) -> Grids:
    """Return the cells of a map, each of `block` x `block` weights; a pooled map keeps its own cells or halves them.

    Raises:
        NonFiniteError, OptionError: a number that is no weight; `name` says of which map.
    """
    if isinstance(shown, PooledMap):
        pooled = shown
        for _ in range(block.bit_length() - 1):
            pooled = pooled.halved()
    elif block == 1:
        array = shown.to("cpu", torch.float32).numpy()
        check_range(array, name, caller)
        return Grids(array, None, tuple(range(len(array) + 1)), tuple(range(array.shape[1] + 1)))
    else:
        check_range(shown.to("cpu", torch.float32).numpy(), name, caller)
        pooled = _pooled(shown.float(), block)
    largest, mean = pooled.largest.numpy(), pooled.mean.numpy()
    check_range(largest, name, caller)
    check_range(mean, name, caller)
    return Grids(largest, mean, pooled.row_edges, pooled.column_edges)


def check_range(weights: np.ndarray, name: str, caller: str) -> None:
    """Refuse what cannot be weights.

    Raises:
        NonFiniteError, OptionError: with the first wrong number and its place.
    """
    if weights.min() >= 0 and weights.max() <= _HIGHEST:
        return
    is_wrong = ~((weights >= 0) & (weights <= _HIGHEST))  # NaN is outside every range
    row, column = (int(i) for i in np.unravel_index(int(is_wrong.argmax()), weights.shape))
    wrong = float(weights[row, column])
    given = f"{caller}: {name} holds {wrong:.4g} at ({row}, {column}), but weights lie between 0 and 1."
    if np.isnan(wrong):
        raise NonFiniteError(f"{given} A row without keys gives NaN in many a softmax; ops.softmax gives zeros.")
    if np.isinf(wrong):
        raise NonFiniteError(f"{given} These look like masked scores; apply ops.softmax(scores, dim=-1) first.")
    dropout = "" if wrong < 0 else "; if dropout enlarged them, take them in eval mode"
    raise OptionError(f"{given} If these are scores, apply ops.softmax(scores, dim=-1) first{dropout}.")


def _pooled(weights: torch.Tensor, block: int) -> PooledMap:
    """Pool into blocks; along the shorter axis they may be smaller."""
    return pool_weights(weights, resolution=-(-max(weights.shape) // block))
