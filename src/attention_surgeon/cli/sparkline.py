"""A curve in a few cells: the lowest and the highest value span the eight heights."""

import itertools
from collections.abc import Sequence

_HEIGHTS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int | float], width: int, low: float | None = None, high: float | None = None) -> str:
    """Return `values` as a line of blocks, at most `width` cells; of too many, each cell shows the mean of its share.

    Args:
        values: Finite numbers.
        width: Cells there are.
        low: What the lowest block stands for; None: the smallest of the values.
        high: What the highest block stands for; None: the largest.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8), sparkline([5.0, 5.0], 8), sparkline([8, 6, 4, 2], 2)
    ('▁▂▃▄▅▆▇█', '▁▁', '█▁')
    """
    if not values or width < 1:
        return ""
    cells = min(width, len(values))
    edges = [round(cell * len(values) / cells) for cell in range(cells + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    low = min(means) if low is None else low
    high = max(means) if high is None else high
    span = (high - low) or 1.0
    return "".join(_HEIGHTS[min(7, max(0, int(8 * (mean - low) / span)))] for mean in means)
