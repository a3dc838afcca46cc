"""What fills a map: coloured cells, numbers in them, hatching over them, and large maps made small."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from attention_surgeon.plots.check import Array
from attention_surgeon.plots.plan import Plan
from attention_surgeon.plots.style import INK_ON_BRIGHT, INK_ON_DARK, Theme, luminance

HATCH = "////"
_SEPARATED = 9.0  # cells at least that many points wide get lines between them
_NEXT_TO_NOTHING = ("0", "<.01")
_SMALLEST_CELL = 1.2  # points; smaller ones would fall between the pixels


def block_size(plan: Plan) -> tuple[int, int]:
    """Return how many rows and columns share one drawn cell, (1, 1) unless there are more than fit."""
    height, width = plan.pitch
    return math.ceil(_SMALLEST_CELL / height), math.ceil(_SMALLEST_CELL / width)


def largest_of_blocks(values: Array, block: tuple[int, int]) -> Array:
    """Return the largest value of each block of `(n_q, n_k)` values; the blocks at the far edges may be smaller.

    The largest, not the mean: one weight of 0.9 among 1024 others stays visible instead of turning into 0.0009.

    >>> largest_of_blocks(np.arange(12.0).reshape(3, 4), (2, 3))
    array([[ 6.,  7.],
           [10., 11.]])
    """
    for axis, size in enumerate(block):
        if size > 1:
            values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return values


def draw_cells(axes: Axes, values: Array, plan: Plan, **colours: object) -> AxesImage:
    """Draw one cell per value or block of values, row 0 at the top, in units of tokens."""
    n_q, n_k = plan.shape
    rows, columns = block_size(plan)
    high, wide = values.shape[0] * rows, values.shape[1] * columns
    image = axes.imshow(
        values,
        aspect=plan.pitch[0] / plan.pitch[1],
        extent=(-0.5, wide - 0.5, high - 0.5, -0.5),
        interpolation="nearest",
        **colours,  # pyright: ignore[reportArgumentType]
    )
    axes.set(xlim=(-0.5, n_k - 0.5), ylim=(n_q - 0.5, -0.5))  # the last blocks may reach over the edge
    axes.spines[:].set(zorder=-1, linewidth=1.6)  # the frame is seen outside and covers no part of the outermost cells
    return image


def draw_separators(axes: Axes, plan: Plan, theme: Theme) -> None:
    """Draw thin lines between the cells, where these are large enough."""
    if min(plan.pitch) < _SEPARATED:
        return
    n_q, n_k = plan.shape
    axes.hlines(np.arange(0.5, n_q - 1), -0.5, n_k - 0.5, colors=theme.background, linewidth=0.8)
    axes.vlines(np.arange(0.5, n_k - 1), -0.5, n_q - 0.5, colors=theme.background, linewidth=0.8)


def draw_numbers(axes: Axes, image: AxesImage, weights: Array) -> None:
    """Write each weight into its cell, in the ink that stands out from its colour; rows of zeros stay bare."""
    colours = image.to_rgba(weights)
    written_rows = np.broadcast_to(weights.any(axis=1, keepdims=True), weights.shape)
    for row, column in np.argwhere(written_rows).tolist():
        bright = luminance(colours[row, column].tolist()) > 0.18  # where black and white ink have the same contrast
        written = weight_text(float(weights[row, column]))
        axes.text(
            column,
            row,
            written,
            color=INK_ON_BRIGHT if bright else INK_ON_DARK,
            alpha=0.6 if written in _NEXT_TO_NOTHING else 1.0,
            size=8.0,
            ha="center",
            va="center_baseline",
        )


def weight_text(weight: float) -> str:
    """Return a weight with two decimals; one that is not 0 never reads as 0.

    >>> [weight_text(weight) for weight in (0.0, 0.0004, 0.123, 1.0)]
    ['0', '<.01', '0.12', '1.00']
    """
    if weight == 0:
        return "0"
    return "<.01" if weight < 0.005 else f"{weight:.2f}"


def hatch_cells(axes: Axes, where: Array, plan: Plan, colour: str) -> None:
    """Hatch the cells that are True, one rectangle for each unbroken run of a row."""
    rows, columns = block_size(plan)
    edges = np.diff(np.pad(where.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    at, left = np.nonzero(edges == 1)
    right = np.nonzero(edges == -1)[1]
    if at.size == 0:
        return
    x0, x1 = left * columns - 0.5, right * columns - 0.5
    y0, y1 = at * rows - 0.5, (at + 1) * rows - 0.5
    corners = np.stack([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]).transpose(2, 0, 1).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], at.size)
    outline = Path(corners, codes.astype(np.uint8))
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=colour, linewidth=0, hatch=HATCH))
