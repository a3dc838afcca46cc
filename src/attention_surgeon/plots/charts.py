"""Small charts side by side: lines with bands and level lines, or bars; every chart of the experiments ends here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from attention_surgeon.plots.labels import power_of_ten, visible_title, wrapped
from attention_surgeon.plots.style import Theme, ThemeName, arranged, drawing, new_figure, theme_named

_WIDTH, _HEIGHT = 300.0, 250.0
_COLUMNS = 3
_STYLES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"), ((0, (5, 1)), "v"), ((0, (3, 1, 1, 1)), "P"))
_MOST_MARKERS = 24


@final
@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: In the legend; the same name has the same colour in every chart of a figure.
        x: Where.
        y: How much.
        low: Lower edge of the spread around it, or None.
        high: Upper edge.
    """

    name: str
    x: Sequence[int | float]
    y: Sequence[int | float]
    low: Sequence[int | float] | None = None
    high: Sequence[int | float] | None = None


@final
@dataclass(frozen=True)
class Chart:
    """One chart of lines.

    Attributes:
        title: Above it.
        x_name: Below it.
        lines: What is drawn.
        levels: Horizontal lines with a word at each, such as a baseline.
        is_log_x: Whether x counts in factors of two; every x of the lines is labelled.
        is_log_y: Whether y counts in factors of ten.
        lowest: Where the axis of y begins; None: where the lines need it. What lies below is not drawn.
    """

    title: str
    x_name: str
    lines: Sequence[Line]
    levels: Mapping[str, int | float] = field(default_factory=dict)
    is_log_x: bool = False
    is_log_y: bool = False
    lowest: int | float | None = 0


@final
@dataclass(frozen=True)
class Bars:
    """One chart of bars: for each group one bar of each series.

    Attributes:
        title: Above it.
        groups: Names below the bars.
        series: Name in the legend, and one number for each group.
        levels: Horizontal lines with a word at each.
    """

    title: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[int | float]]
    levels: Mapping[str, int | float] = field(default_factory=dict)


def plot_charts(charts: Sequence[Chart | Bars], *, title: str = "", theme: ThemeName = "light") -> Figure:
    """Return the charts side by side, three in a row, with one legend below all of them.

    Args:
        charts: At least one.
        title: Above all.
        theme: "light" or "dark".

    Raises:
        OptionError: an unknown theme.

    >>> figure = plot_charts([Chart("loss", "step", [Line("causal", [1, 2], [3.0, 2.0])])])
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['causal']
    """
    colours = theme_named(theme, "plot_charts")
    columns = min(len(charts), _COLUMNS)
    rows = -(-len(charts) // columns)
    looks = _looks(charts, colours)
    with drawing(colours):
        width = max(columns * _WIDTH, 420.0)
        figure = new_figure(width, rows * _HEIGHT + 60)
        if title:
            figure.suptitle(visible_title(title, 12.0, 0.92 * width), size=12.0)
        for index, chart in enumerate(charts):
            axes = figure.add_subplot(rows, columns, 1 + index)
            _dress(axes, chart.title, colours)
            draw = _draw_bars if isinstance(chart, Bars) else _draw_lines
            draw(axes, chart, looks, colours)  # pyright: ignore[reportArgumentType]
        _add_legend(figure)
        return arranged(figure)


def _looks(charts: Sequence[Chart | Bars], theme: Theme) -> dict[str, tuple[str, object, str]]:
    """Return colour, line style and marker of every name: style and marker tell them apart without colour."""
    names: dict[str, None] = {}
    for chart in charts:
        names |= dict.fromkeys(chart.series if isinstance(chart, Bars) else [line.name for line in chart.lines])
    palette = (theme.first, theme.second, *theme.more)
    return {
        name: (palette[n % len(palette)], *_STYLES[n % len(_STYLES)])  # pyright: ignore[reportReturnType]
        for n, name in enumerate(names)
    }


def _dress(axes: Axes, title: str, theme: Theme) -> None:
    axes.set_title(wrapped(title, 9.5, 0.85 * _WIDTH), size=9.5, color=theme.ink, pad=6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5)


def _draw_lines(axes: Axes, chart: Chart, looks: Mapping[str, tuple[str, object, str]], theme: Theme) -> None:
    for line in chart.lines:
        colour, style, marker = looks[line.name]
        if len(line.x) > _MOST_MARKERS:
            marker = ""
        axes.plot(
            line.x, line.y, linestyle=style, marker=marker, color=colour, label=line.name, markersize=4.5, linewidth=1.6
        )
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
    axes.set_xlabel(chart.x_name, size=9.0)
    if chart.is_log_x:
        places = sorted({x for line in chart.lines for x in line.x})
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.xaxis.set_minor_locator(NullLocator())
    if chart.is_log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: power_of_ten(round(math.log10(value))))
        axes.yaxis.set_minor_locator(NullLocator())
    if chart.lowest is not None and (chart.lowest > 0 or not chart.is_log_y):
        axes.set_ylim(bottom=chart.lowest)
    _draw_levels(axes, chart.levels, theme, at_right=True)


def _draw_bars(axes: Axes, chart: Bars, looks: Mapping[str, tuple[str, object, str]], theme: Theme) -> None:
    places = np.arange(len(chart.groups))
    width = 0.8 / len(chart.series)
    for n, (name, heights) in enumerate(chart.series.items()):
        left = places - 0.4 + (n + 0.5) * width
        bars = axes.bar(left, heights, 0.92 * width, color=looks[name][0], label=name)
        axes.bar_label(bars, [f"{height:.2f}" for height in heights], size=7.5, color=theme.ink, padding=1.5)
    room = 0.85 * _WIDTH / len(chart.groups)
    axes.set_xticks(places, [wrapped(group, 8.5, room) for group in chart.groups])
    _draw_levels(axes, chart.levels, theme, at_right=False)


def _draw_levels(axes: Axes, levels: Mapping[str, int | float], theme: Theme, *, at_right: bool) -> None:
    """Draw the levels that lie within what the lines or bars need; the others would squeeze those."""
    highest = axes.get_ylim()[1]
    for name, level in levels.items():
        if level > 1.1 * highest:
            continue
        axes.axhline(level, color=theme.muted, linewidth=1.0, linestyle=(0, (2, 2)))
        axes.annotate(
            name,
            (1.0 if at_right else 0.0, level),
            xycoords=("axes fraction", "data"),
            xytext=(-2 if at_right else 2, 2),
            textcoords="offset points",
            ha="right" if at_right else "left",
            size=8.0,
            color=theme.muted,
        )


def _add_legend(figure: Figure) -> None:
    """Add one legend for all charts: each name once, in the order of its first appearance."""
    entries = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=min(len(entries), 4),
            fontsize=9.0,
            handlelength=3.2,
        )
