"""How large everything is: a cell, a panel, the figure; and how many maps stand side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attention_surgeon.plots.labels import AxisLabels, axis_labels, line_count, wrapped

# Points per token on the longer axis. Up to 200 tokens each gets its label; beyond, labels are thinned out.
_TOKENS = (1, 2, 8, 16, 40, 120, 200)
_PITCH = (120.0, 72.0, 44.0, 30.0, 16.0, 8.8, 6.9)
_LONGEST_SIDE = _TOKENS[-1] * _PITCH[-1]  # of a map that stands alone
_GRID_WIDTH = 840.0  # of several maps side by side
_SMALLEST_PANEL = 96.0
_LARGEST_PANEL = 340.0
_SHORTEST_SIDE = 120.0  # below that a map with few tokens would be too small to read
_ROOM_FOR_NUMBERS = 28.0
_GAP = 12.0


@dataclass(frozen=True)
class Plan:
    """The sizes of one figure, all in points.

    Attributes:
        shape: `(n_q, n_k)`.
        num_maps: How many maps there are.
        grid: Rows and columns they stand in.
        panel: Height and width of one map.
        queries: Labels at the left.
        keys: Labels at the bottom.
        rotation: Of the labels at the bottom, in degrees.
    """

    shape: tuple[int, int]
    num_maps: int
    grid: tuple[int, int]
    panel: tuple[float, float]
    queries: AxisLabels
    keys: AxisLabels
    rotation: int

    @property
    def pitch(self) -> tuple[float, float]:
        """Height and width of one cell."""
        return self.panel[0] / self.shape[0], self.panel[1] / self.shape[1]

    @property
    def maps(self) -> tuple[float, float]:
        """Height and width of all panels together."""
        return self.grid[0] * (self.panel[0] + _GAP), self.grid[1] * (self.panel[1] + _GAP)

    @property
    def has_room_for_numbers(self) -> bool:
        """Whether a weight such as 0.12 fits into a cell."""
        return self.pitch[0] >= _ROOM_FOR_NUMBERS / 2 and self.pitch[1] >= _ROOM_FOR_NUMBERS

    @property
    def title_size(self) -> float:
        """Font size of the title: larger figures are looked at from further away."""
        return float(np.clip(0.026 * math.sqrt(self.maps[0] * self.maps[1]), 12.0, 24.0))

    @property
    def note_size(self) -> float:
        """Font size of axis names, captions, the colour bar and the legend."""
        return 0.75 * self.title_size

    @property
    def caption_size(self) -> float:
        """Font size above each map of several."""
        return float(np.clip(0.08 * self.panel[1], 8.0, self.note_size))

    @property
    def key_height(self) -> float:
        """Height of the labels at the bottom, as they are rotated."""
        angle = math.radians(self.rotation)
        return self.keys.width * math.sin(angle) + 1.2 * self.keys.size * math.cos(angle)

    def figure_size(self, *, heading: str, right: float, below: float) -> tuple[float, float]:
        """Return width and height of a figure with room for a heading, and for more at the right and below.

        The layout engine places everything; the better this estimate, the closer the maps come to `panel`.
        """
        rows, columns = self.grid
        captions = 1.2 * rows * self.caption_size if rows * columns > 1 else 0.0
        keys = self.key_height * (1 if self.num_maps == rows * columns else 2)  # a gap in the last row shows labels
        beside, under = (1.4 * line_count(name) * self.note_size for name in self.axis_names())
        width = self.maps[1] + self.queries.width + beside + 0.6 * self.note_size + right
        height = self.maps[0] + captions + keys + under + below + (1.3 * line_count(heading) + 0.4) * self.title_size
        return width, height

    def axis_names(self) -> tuple[str, str]:
        """Return what stands beside the rows and below the columns, in as many lines as they need."""
        rows = self.queries.describe("from (query)")
        columns = self.keys.describe("to (key)")
        return wrapped(rows, self.note_size, self.maps[0]), wrapped(columns, self.note_size, self.maps[1])


def plan(queries: Sequence[str], keys: Sequence[str], num_maps: int) -> Plan:
    """Return the sizes of a figure of so many maps with these tokens."""
    shape = len(queries), len(keys)
    grid = _arrange(num_maps, shape)
    if num_maps == 1:
        height, width = _panel(shape, _LONGEST_SIDE)
    else:
        height, width = _panel(shape, min(max(_GRID_WIDTH / grid[1], _SMALLEST_PANEL), _largest_panel(shape)))
    left, bottom = axis_labels(queries, height / shape[0]), axis_labels(keys, width / shape[1])
    return Plan(shape, num_maps, grid, (height, width), left, bottom, _rotation(bottom, bottom.step * width / shape[1]))


def _panel(shape: tuple[int, int], longest_side: float) -> tuple[float, float]:
    """Return height and width of a map: square cells, unless one axis would become too thin to read."""
    pitches = [min(float(np.interp(count, _TOKENS, _PITCH)), longest_side / count) for count in shape]
    shortest = min(_SHORTEST_SIDE, longest_side / 2)
    height, width = (
        count * max(min(pitches), min(pitch, shortest / count)) for count, pitch in zip(shape, pitches, strict=True)
    )
    return height, width


def _largest_panel(shape: tuple[int, int]) -> float:
    """Return the longest side of one map of several; many keys for few queries may be wider than a square."""
    return _LARGEST_PANEL * min(2.0, max(1.0, shape[1] / shape[0]))


def _rotation(labels: AxisLabels, distance: float) -> int:
    """Return 0 where the widest label fits, else 45 where slanted lines keep apart, else 90 degrees."""
    if labels.width + 6 <= distance:
        return 0
    return 45 if distance >= 2 * labels.size else 90


def _arrange(num_maps: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a grid that is a little wider than high and has few empty places."""
    height, width = _panel(shape, _largest_panel(shape))

    def ugliness(columns: int) -> float:
        rows = math.ceil(num_maps / columns)
        proportion = (columns * width) / (rows * height)
        return abs(math.log(proportion / 1.4)) + 4 * (rows * columns - num_maps) / num_maps

    columns = min(range(1, num_maps + 1), key=ugliness)
    return math.ceil(num_maps / columns), columns
