"""How much of the maps fits into a page: for each map the smallest cells and the most steps that the size allows.

A page has a size that it keeps to. No map may cost more than a limit that is the same for all, and each takes the best
it can have under it, so that a sharp map, which is cheap, is held weight by weight, and what it leaves serves the broad
ones, which are dear: these lose steps first (255 down to 31), then get larger cells (2 x 2 weights, 4 x 4, ...).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attention_surgeon.stats import PooledMap
from attention_surgeon.viewer.codes import MOST_STEPS, deflated, encode
from attention_surgeon.viewer.subject import Map

BASE64 = 4 / 3
"""Characters in a page for each byte."""


class Choice(NamedTuple):
    """How one map is held: cells of `block` x `block`, told apart in `steps` steps."""

    block: int
    steps: int


CHOICES = (
    *(Choice(1, steps) for steps in (MOST_STEPS, 127, 63, 31)),
    *(Choice(block, steps) for block in (2, 4, 8, 16, 32, 64, 128, 256, 512) for steps in (127, 63, 31)),
)
"""From the best to the worst."""

_BAND, _STRIDE = 8, 64
"""What is tried on a sample: 8 rows of every 64."""
_MARGIN = 1.05
_BESIDE = 420.0
"""Bytes that an entry takes besides its cells."""


def fits_exactly(num_cells: int, room: float) -> bool:
    """Return whether so many float32 numbers fit into `room` bytes."""
    return num_cells * 4 * BASE64 <= room


def plan(costs: Sequence[Sequence[float]], room: float, in_full: frozenset[int] = frozenset()) -> list[Choice]:
    """Return how each map is held, so that all together fit into `room` bytes, or come as near to that as can be.

    Args:
        costs: For each map the bytes that it takes with each of `CHOICES`.
        room: How many bytes there are.
        in_full: The maps that get the best choice whatever the limit is.

    >>> dear, cheap = [100.0 / (i + 1) for i in range(len(CHOICES))], [5.0] * len(CHOICES)
    >>> plan([dear, cheap], room=40.0)
    [Choice(block=1, steps=63), Choice(block=1, steps=255)]
    """
    limits = sorted({cost for each in costs for cost in each}, reverse=True)
    found = [_under(0.0, each, number in in_full) for number, each in enumerate(costs)]
    low, high = 0, len(limits) - 1
    while low <= high:
        middle = (low + high) // 2
        places = [_under(limits[middle], each, number in in_full) for number, each in enumerate(costs)]
        if sum(each[place] for each, place in zip(costs, places, strict=True)) <= room:
            found, high = places, middle - 1
        else:
            low = middle + 1
    return [CHOICES[place] for place in _improved(found, costs, room)]


def _improved(places: list[int], costs: Sequence[Sequence[float]], room: float) -> list[int]:
    """Return the places with what room is left spent on better ones, the cheapest step up first."""
    left = room - sum(each[place] for each, place in zip(costs, places, strict=True))
    improved = list(places)
    steps = sorted(
        (each[place - 1] - each[place], number)
        for number, (each, place) in enumerate(zip(costs, places, strict=True))
        if place
    )
    for dearer, number in steps:
        if dearer <= left:
            improved[number] -= 1
            left -= dearer
    return improved


def _under(limit: float, costs: Sequence[float], is_full: bool) -> int:
    if is_full:
        return 0
    return next((place for place, cost in enumerate(costs) if cost <= limit), len(costs) - 1)


def costs_of(shown: Map) -> list[float]:
    """Return about how many bytes a map takes in a page with each of `CHOICES`; tried on some of its rows."""
    grids, share = _sample(shown)
    costs, block, scale = [], 1, 1.0
    for choice in CHOICES:
        if choice.block != block:
            block = choice.block
            halves = _halved(grids)
            if halves is None:
                scale /= 4
            else:
                grids = halves
        size = sum(len(deflated(encode(grid, choice.steps).codes.tobytes())) for grid in grids)
        costs.append(_BESIDE + _MARGIN * BASE64 * size * scale / share)
    return costs


def _sample(shown: Map) -> tuple[list[np.ndarray], float]:
    """Return the grids of some rows, and what share of the map they are."""
    if isinstance(shown, PooledMap):
        return [shown.largest.numpy(), shown.mean.numpy()], 1.0
    rows = len(shown)
    if rows < 2 * _STRIDE:
        return [shown.cpu().float().numpy()], 1.0
    starts = np.arange(0, rows - _BAND + 1, _STRIDE)
    chosen = (starts[:, None] + np.arange(_BAND)).ravel()
    return [shown[chosen].cpu().float().numpy()], len(chosen) / rows


def _halved(grids: list[np.ndarray]) -> list[np.ndarray] | None:
    """Return the largest and the mean of cells of 2 x 2; None where the sample has too few rows or columns."""
    rows, columns = (size // 2 * 2 for size in grids[0].shape)
    if rows < 4 or columns < 4:
        return None
    largest, mean = grids[0], grids[-1]
    squares = (rows // 2, 2, columns // 2, 2)
    return [
        largest[:rows, :columns].reshape(squares).max((1, 3)),
        mean[:rows, :columns].reshape(squares).mean((1, 3)),
    ]
