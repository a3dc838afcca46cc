"""A map of all heads: one cell for each layer and head, a number in each, two hues around zero."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from attention_surgeon.errors import ShapeError
from attention_surgeon.plots.labels import visible_title
from attention_surgeon.plots.style import (
    INK_ON_BRIGHT,
    INK_ON_DARK,
    ThemeName,
    arranged,
    drawing,
    luminance,
    new_figure,
    theme_named,
)

_CELL, _LOWEST = 36.0, 220.0
_MOST_DIGITS, _BRIGHT = 5, 0.18
_MOST_NUMBERS = 400
"""Cells up to which each has its number written in it."""


def plot_head_changes(
    changes: np.ndarray,
    *,
    layers: Sequence[str],
    title: str,
    label: str,
    columns: Sequence[str] | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Return a heat map of what a change to each head costs.

    Args:
        changes: `(layers, heads)`, any unit, either sign; NaN where there is no such head.
        layers: Names of the rows.
        title: Above the map.
        label: Beside the bar of colours, with the unit.
        columns: Names of the columns where they are no heads but positions; None: heads.
        theme: "light" or "dark".

    Raises:
        ShapeError: the names do not fit the rows.
        OptionError: an unknown theme.

    >>> figure = plot_head_changes(np.array([[0.1, -0.2]]), layers=["0"], title="t", label="nats")
    >>> figure.axes[0].get_xlabel()
    'head'
    """
    colours = theme_named(theme, "plot_head_changes")
    if changes.ndim != 2 or len(layers) != changes.shape[0]:
        raise ShapeError(
            f"plot_head_changes: changes has shape {changes.shape} and there are {len(layers)} names of layers; "
            f"expected (layers, heads) and one name for each layer."
        )
    rows, width_in_cells = changes.shape
    finite = np.abs(changes[np.isfinite(changes)])
    top = float(finite.max(initial=0.0)) or 1.0
    hues = LinearSegmentedColormap.from_list("heads", [colours.second, colours.background, colours.first], N=512)
    with drawing(colours):
        width = max(width_in_cells * _CELL + 170, 360.0)
        figure = new_figure(width, max(rows * _CELL + 110, _LOWEST))
        figure.suptitle(visible_title(title, 12.0, 0.92 * width), size=12.0)
        axes = figure.add_subplot()
        image = axes.imshow(np.ma.masked_invalid(changes), cmap=hues, vmin=-top, vmax=top, interpolation="nearest")
        axes.set_xlabel("head" if columns is None else "position", size=9.0)
        axes.set_ylabel("layer", size=9.0)
        if columns is None:
            axes.set_xticks(range(width_in_cells))
        else:
            axes.set_xticks(
                range(width_in_cells), labels=[visible_title(name, 8.0, 90.0) for name in columns], rotation=90
            )
        axes.set_yticks(range(rows), labels=list(layers))
        axes.tick_params(length=0, labelsize=8.0)
        if changes.size <= _MOST_NUMBERS:
            _write_numbers(axes, changes, top)
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        bar.set_label(label, size=9.0)
        bar.ax.tick_params(length=0, labelsize=8.0)
        return arranged(figure)


def _write_numbers(axes: Axes, changes: np.ndarray, top: float) -> None:
    """Write each number into its cell with as many digits as the largest needs for two."""
    decimals = min(max(1 - math.floor(math.log10(top)), 0), _MOST_DIGITS)
    filled = axes.images[0].to_rgba(np.ma.masked_invalid(changes))
    for (row, column), number in np.ndenumerate(changes):
        if not np.isfinite(number):
            continue
        ink = INK_ON_BRIGHT if luminance(filled[row, column].tolist()) > _BRIGHT else INK_ON_DARK
        text = f"{number:.{decimals}f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.{decimals}f}"
        axes.text(column, row, text, ha="center", va="center", size=6.5, color=ink)
