"""How much of the maps fits into a page: the finest cells and the most steps that its size allows.

A page has a size that it keeps to. What goes is the fineness of the colours first (from 255 steps down to 7, more for
maps that are cheap, fewer for those that are dear), then the fineness of the cells (blocks of 2 x 2 weights, ...).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attention_surgeon.viewer.codes import MOST_STEPS, deflated, encode
from attention_surgeon.viewer.grids import Grids

STEPS = (MOST_STEPS, 127, 63, 31, 15, 10, 7)
"""How finely weights may be told apart, from the best to the worst."""

BASE64 = 4 / 3
_BAND, _STRIDE = 8, 64
"""What is tried on a sample: 8 rows of every 64."""
_MARGIN = 1.06


class Plan(NamedTuple):
    """How many steps the codes of each map have, and how many bytes all are thought to take in the page."""

    steps: tuple[int, ...]
    num_bytes: float


def fits_exactly(num_cells: int, room: float) -> bool:
    """Return whether so many float32 numbers fit into `room` bytes."""
    return num_cells * 4 * BASE64 <= room


def plan_steps(costs: Sequence[Sequence[float]], room: float) -> Plan | None:
    """Return how many steps each map gets; None if even the fewest do not fit.

    No map may cost more than a limit that is the same for all, and each takes as many steps as it allows: what the
    cheap ones leave is shared by the dear ones.

    Args:
        costs: For each map the bytes it takes with each of `STEPS`.
        room: How many bytes there are.

    >>> plan_steps([[90, 80, 70, 60, 50, 40, 30], [9, 8, 7, 6, 5, 4, 3]], room=75).steps
    (31, 255)
    """
    best = None
    limits = sorted({cost for each in costs for cost in each})
    low, high = 0, len(limits) - 1
    while low <= high:
        middle = (low + high) // 2
        plan = _under(limits[middle], costs)
        if plan is None or plan.num_bytes <= room:
            best = plan or best
            low = middle + 1
        else:
            high = middle - 1
    return best


def _under(limit: float, costs: Sequence[Sequence[float]]) -> Plan | None:
    steps, total = [], 0.0
    for each in costs:
        choice = next((index for index, cost in enumerate(each) if cost <= limit), None)
        if choice is None:
            return None
        steps.append(STEPS[choice])
        total += each[choice]
    return Plan(tuple(steps), total)


def cost_of(grids: Grids) -> list[float]:
    """Return about how many bytes a map takes in a page, with each of `STEPS`; tried on some of its rows."""
    return [_MARGIN * BASE64 * sum(_size(grid, steps) for grid in grids.each()) for steps in STEPS]


def _size(grid: np.ndarray, steps: int) -> float:
    rows = len(grid)
    if rows > 2 * _STRIDE:
        chosen = (np.arange(0, rows - _BAND, _STRIDE)[:, None] + np.arange(_BAND)).ravel()
        sample = grid[chosen]
    else:
        sample = grid
    return 64 + len(deflated(encode(sample, steps).codes.tobytes())) * rows / len(sample)
