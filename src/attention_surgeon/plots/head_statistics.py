"""One statistic of every head of every layer: a matrix of numbers with colours."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.plots.cells import HATCH
from attention_surgeon.plots.check import Array, checked_title
from attention_surgeon.plots.labels import visible_title, wrapped
from attention_surgeon.plots.style import (
    INK_ON_BRIGHT,
    INK_ON_DARK,
    Theme,
    ThemeName,
    arranged,
    drawing,
    luminance,
    new_figure,
    theme_named,
)
from attention_surgeon.stats import PER_HEAD, Definition, HeadStatistics, definition_of

_CALLER = "plot_head_statistics"
_CELL, _SHORTEST = (26.0, 36.0), (80.0, 220.0)  # height and width in points, of a cell and of the matrix
_LONGEST_SIDE = 1200.0
_MOST_NUMBERS = 32 * 32


def plot_head_statistics(
    statistics: HeadStatistics,
    name: str = "entropy_share",
    *,
    title: str | None = None,
    highest: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Return a matrix of one statistic: a row for each layer, a column for each head, the number in the cell.

    The colours start at 0. They end at 1 for a share, else at the largest finite number, or at `highest`: give the
    same to two figures that are to be compared. A head that has none (no row counts) is hatched.

    Args:
        statistics: `head_statistics` of weights `(layers, heads, n_q, n_k)`: stack the layers of a model.
        name: Which of `PER_HEAD`; its title and unit stand beside the colours.
        title: Above the matrix; None: the title of the statistic.
        highest: Where the colours end; larger numbers share the last colour.
        theme: "light" or "dark".

    Raises:
        OptionError: no such statistic, one that was not measured, no such theme, or `highest` not above 0.
        ShapeError: not one layer axis and one head axis.
        ArgumentTypeError: `title` is no string.

    >>> import torch
    >>> from attention_surgeon.stats import head_statistics
    >>> figure = plot_head_statistics(head_statistics(torch.eye(5).expand(3, 2, 5, 5)), "diagonal_mass")
    >>> figure.axes[0].images[0].get_array().shape, figure.axes[0].get_xlabel()
    ((3, 2), 'head')
    """
    colours = theme_named(theme, _CALLER)
    numbers, definition = _matrix(statistics, name)
    heading = checked_title(title, definition.title, _CALLER)
    top = _checked_top(highest, numbers, definition)
    rows, columns = numbers.shape
    with drawing(colours):
        height, width = (
            float(np.clip(count * cell, least, _LONGEST_SIDE))
            for count, cell, least in zip(numbers.shape, _CELL, _SHORTEST, strict=True)
        )
        figure = new_figure(width + 130, height + 80)
        figure.suptitle(visible_title(heading, 12.0, width + 100), size=12.0)
        axes = figure.add_subplot()
        image = axes.imshow(np.ma.masked_invalid(numbers), cmap=colours.weights, vmin=0.0, vmax=top, aspect="auto")
        _name_axes(axes, rows, columns)
        _fill(axes, image, numbers, colours)
        bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03, extend=_extend(numbers, top))
        ticks = [tick for tick in MaxNLocator(5).tick_values(0.0, top) if 0 <= tick <= top * (1 + 1e-9)]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.set_label(wrapped(f"{definition.title} ({definition.unit})", 9.0, height), size=9.0)
        bar.ax.tick_params(length=0, labelsize=8.0)
        return arranged(figure)


def _matrix(statistics: HeadStatistics, name: str) -> tuple[Array, Definition]:
    if name not in PER_HEAD:
        raise OptionError(f"{_CALLER}: there is no statistic {name!r}; there are {', '.join(PER_HEAD)}.")
    values = getattr(statistics, name)
    if values is None:
        raise OptionError(f"{_CALLER}: {name} was not measured; head_statistics needs tokens=... for it.")
    if values.ndim != 2:
        raise ShapeError(
            f"{_CALLER}: the statistics have shape {tuple(values.shape)}, expected (layers, heads); stack the weights "
            f"of the layers, of one sequence: torch.stack([...]) of (heads, n_q, n_k)."
        )
    return values.detach().double().cpu().numpy(), definition_of(name)


def _checked_top(highest: float | None, numbers: Array, definition: Definition) -> float:
    if highest is not None:
        if isinstance(highest, bool) or not isinstance(highest, int | float) or not highest > 0:
            raise OptionError(f"{_CALLER}: highest is {highest!r}, expected a number above 0.")
        return float(highest)
    finite = numbers[np.isfinite(numbers)]
    return 1.0 if definition.unit == "share" or not finite.any() else float(finite.max())


def _name_axes(axes: Axes, rows: int, columns: int) -> None:
    axes.set_ylabel("layer", size=9.0)
    axes.set_xlabel("head", size=9.0)
    for axis, count in ((axes.yaxis, rows), (axes.xaxis, columns)):
        step = -(-count // 32)
        axis.set_ticks(range(0, count, step), [str(n) for n in range(0, count, step)], size=8.5)
        axis.set_tick_params(length=0)


def _fill(axes: Axes, image: AxesImage, numbers: Array, theme: Theme) -> None:
    """Hatch the cells that hold no number, and write the others down where there is room."""
    for row, column in np.argwhere(np.isnan(numbers)).tolist():
        axes.fill_between(
            [column - 0.5, column + 0.5], row - 0.5, row + 0.5, facecolor="none", edgecolor=theme.muted, hatch=HATCH
        )
    if numbers.size > _MOST_NUMBERS:
        return
    colours = image.to_rgba(np.ma.masked_invalid(numbers))
    for row, column in np.argwhere(~np.isnan(numbers)).tolist():
        bright = luminance(colours[row, column].tolist()) > 0.18
        ink = INK_ON_BRIGHT if bright else INK_ON_DARK
        if np.isinf(numbers[row, column]):
            ink = theme.ink
        written = _written(float(numbers[row, column]))
        axes.text(column, row, written, color=ink, size=8.0, ha="center", va="center_baseline")


def _written(number: float) -> str:
    """Return a number in at most four characters.

    >>> [_written(number) for number in (0.123, 9.996, 12.34, 123.4, float("inf"))]
    ['0.12', '10.0', '12.3', '123', '∞']
    """
    if np.isinf(number):
        return "∞"
    return next(text for digits in (2, 1, 0) if len(text := f"{number:.{digits}f}") <= 4 or digits == 0)


def _extend(numbers: Array, top: float) -> str:
    finite = numbers[np.isfinite(numbers)]
    return "max" if finite.size and finite.max() > top * (1 + 1e-6) else "neither"
