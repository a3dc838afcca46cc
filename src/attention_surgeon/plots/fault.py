"""The picture of a fault: healthy, faulty and their difference, on a small drawn call."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.faults import Fault, find_fault
from attention_surgeon.faults.example import Example, drawn_example
from attention_surgeon.plots.cells import HATCH
from attention_surgeon.plots.check import Array
from attention_surgeon.plots.labels import line_count, text_width, visible_title, wrapped
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
from attention_surgeon.require import kind_of

_CELL = 40.0  # points; room for a number
_GAP = 18.0
_NARROWEST = 420.0
_TITLE, _CAPTION, _TOKEN, _NUMBER = 12.0, 9.5, 9.0, 8.0  # sizes of letters
_DIFFERENCE = "difference"
_ROUNDING = 1e-6


def plot_fault(fault: Fault | str, *, theme: ThemeName = "light") -> Figure:
    """Return three maps of one small call: what is right, what the fault makes of it, and faulty - healthy.

    Every cell holds its number. The first two have the same colours for the same numbers; the difference has two hues
    around zero, the darkest at its own largest number. What is not finite is hatched. A fault that gives another
    shape has no difference.

    Args:
        fault: A fault of the catalogue, or its name.
        theme: "light" or "dark".

    Raises:
        ArgumentTypeError: `fault` is neither.
        OptionError: no fault of that name, one that changes no number of a single call, or an unknown theme.

    >>> figure = plot_fault("softmax_over_queries")
    >>> [axes.get_title() for axes in figure.axes]
    ['healthy', 'faulty', 'difference']
    """
    colours = theme_named(theme, "plot_fault")
    found = _checked(fault)
    example = drawn_example(found)
    if example is None:
        raise OptionError(f"plot_fault: {found.name} changes no number of a single call, so there is nothing to draw.")
    with drawing(colours):
        return arranged(_drawn(found, example, colours))


def _checked(fault: Fault | str) -> Fault:
    if isinstance(fault, str):
        return find_fault(fault)
    if not isinstance(fault, Fault):
        raise ArgumentTypeError(f"plot_fault: fault is {kind_of(fault)}, expected a Fault or the name of one.")
    return fault


def _drawn(fault: Fault, example: Example, theme: Theme) -> Figure:
    maps = _maps(example)
    beside = max(text_width(name, _TOKEN) for name in example.rows) + 12
    below = max(text_width(name, _TOKEN) for name in example.columns) if _is_slanted(example) else _TOKEN
    width = max(sum(_CELL * field.shape[1] for field in maps.values()) + _GAP * len(maps) + beside, _NARROWEST)
    heading = visible_title(f"{fault.name}: {fault.summary}", _TITLE, 0.96 * width)
    call = wrapped(f"{example.what}: {example.call}", _CAPTION, 0.96 * width)
    words = 1.3 * (_TITLE * line_count(heading) + _CAPTION * (line_count(call) + 1)) + below + 34
    figure = new_figure(width, _CELL * max(field.shape[0] for field in maps.values()) + words)
    figure.suptitle(heading, size=_TITLE)
    figure.supxlabel(call, size=_CAPTION, color=theme.muted)
    grid = figure.add_gridspec(1, len(maps), width_ratios=[field.shape[1] for field in maps.values()])
    for place, (name, field) in enumerate(maps.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.set_title(name, size=_CAPTION, pad=5)
        _draw_cells(axes, field, *_colours(maps, name, theme), theme)
        _write_numbers(axes, field, theme, is_difference=name == _DIFFERENCE)
        _label(axes, example, field, is_first=place == 0)
    return figure


def _maps(example: Example) -> dict[str, Array]:
    healthy, faulty = example.healthy.numpy(), example.faulty.numpy()
    maps = {"healthy": healthy, "faulty": faulty}
    if healthy.shape == faulty.shape:
        with np.errstate(invalid="ignore"):
            maps[_DIFFERENCE] = faulty - healthy
    return maps


def _colours(maps: Mapping[str, Array], name: str, theme: Theme) -> tuple[Colormap, float, float]:
    """Return the colours of a map and the numbers at their two ends."""
    alike = [maps[name]] if name == _DIFFERENCE else [field for other, field in maps.items() if other != _DIFFERENCE]
    numbers = np.concatenate([field[np.isfinite(field)] for field in alike])
    top = float(np.abs(numbers).max(initial=0.0)) or 1.0
    if name != _DIFFERENCE and not (numbers < 0).any():
        return theme.weights, 0.0, top
    hues = [theme.second, theme.background, theme.first]
    return LinearSegmentedColormap.from_list("surgeon_signed", hues, N=512), -top, top


def _draw_cells(axes: Axes, field: Array, colours: Colormap, lowest: float, highest: float, theme: Theme) -> None:
    axes.imshow(np.ma.masked_invalid(field), cmap=colours, vmin=lowest, vmax=highest, interpolation="nearest")
    rows, columns = field.shape
    axes.hlines(np.arange(0.5, rows - 1), -0.5, columns - 0.5, colors=theme.background, linewidth=0.8)
    axes.vlines(np.arange(0.5, columns - 1), -0.5, rows - 0.5, colors=theme.background, linewidth=0.8)
    for row, column in np.argwhere(~np.isfinite(field)).tolist():
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=theme.hidden, edgecolor=theme.line, linewidth=0)
        cell.set_hatch(HATCH)
        axes.add_patch(cell)


def _write_numbers(axes: Axes, field: Array, theme: Theme, *, is_difference: bool) -> None:
    """Write each number into its cell, in the ink that stands out from its colour."""
    colours = axes.images[0].to_rgba(np.ma.masked_invalid(field))
    are_all_tiny = np.abs(field[np.isfinite(field)]).max(initial=0.0) < 0.01
    for (row, column), number in np.ndenumerate(field):
        ink = theme.ink
        if np.isfinite(number):
            ink = INK_ON_BRIGHT if luminance(colours[row, column].tolist()) > 0.18 else INK_ON_DARK
        text = _tiny_text(float(number)) if are_all_tiny else _number_text(float(number), is_signed=is_difference)
        axes.text(column, row, text, color=ink, size=_NUMBER, ha="center", va="center_baseline")


def _number_text(number: float, *, is_signed: bool) -> str:
    """Return a number in at most eight letters; what is not 0 never reads as 0.

    >>> [_number_text(number, is_signed=True) for number in (0.126, -0.0004, 0.0, 12345.6, np.nan, -np.inf)]
    ['+0.13', '<.01', '0', '+1.2e+04', 'NaN', '−∞']
    """
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "∞" if number > 0 else "−∞"
    if abs(number) < 0.005:
        return "0" if abs(number) < _ROUNDING else "<.01"
    sign = "−" if number < 0 else "+" if is_signed else ""
    return f"{sign}{abs(number):.2f}" if abs(number) < 1000 else f"{sign}{abs(number):.1e}"


def _tiny_text(number: float) -> str:
    """Return a number far below 1 with its sign and its power of ten: `−4e−5`."""
    if not np.isfinite(number) or abs(number) < _ROUNDING:
        return _number_text(number, is_signed=True)
    digit, _, power = f"{number:+.0e}".partition("e")
    return f"{digit}e{int(power)}".replace("-", "−")


def _label(axes: Axes, example: Example, field: Array, *, is_first: bool) -> None:
    """Name the columns, and the rows of the first map; numbers where the fault made other rows or columns."""
    rows, columns = _fitting(example.rows, field.shape[0]), _fitting(example.columns, field.shape[1])
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if _is_slanted(example) else {}
    axes.set_xticks(range(len(columns)), columns, size=_TOKEN, **slanted)
    axes.set_yticks(range(len(rows)), rows if is_first or rows != list(example.rows) else [""] * len(rows), size=_TOKEN)
    axes.tick_params(length=0, pad=3)


def _is_slanted(example: Example) -> bool:
    return max(text_width(name, _TOKEN) for name in example.columns) > _CELL - 4


def _fitting(names: Sequence[str], count: int) -> list[str]:
    return list(names) if len(names) == count else [str(index) for index in range(count)]
