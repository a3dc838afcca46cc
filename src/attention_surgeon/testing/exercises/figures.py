"""What a matplotlib figure shows, as data: the numbers of a map as they are seen, its labels, its colour limits.

matplotlib is not imported here: whoever drew a figure has loaded it.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from attention_surgeon.testing.answer import Array
from attention_surgeon.testing.exercises.explained import ExplainedError
from attention_surgeon.testing.exercises.function_check import called


@final
@dataclass(frozen=True)
class SeenMap:
    """A heat map as a person sees it.

    Attributes:
        numbers: Of the cells, from the top down and from left to right.
        rows: What stands beside each row, empty where nothing does.
        columns: What stands below or above each column.
        row_axis: The name of the vertical axis, or of the figure's.
        column_axis: The name of the horizontal one.
        title: Above it.
        limits: The numbers at which its colours begin and end.
    """

    numbers: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_axis: str
    column_axis: str
    title: str
    limits: tuple[float, float]


def drawn(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call somebody's plot function and return its figure: the one it returned, or the one it left behind in pyplot.

    The figures that it made are closed in pyplot; what they show can still be read.

    Raises:
        ExplainedError: it raises, or there is no figure.
    """
    __tracebackhide__ = True
    before = _open_figures()
    try:
        returned = called(function, *arguments)
        left = _left_behind(before)
    finally:
        for figure in _left_behind(before):
            sys.modules["matplotlib.pyplot"].close(figure)
    figure = _figure_of(returned) or (left[-1] if left else None)
    if figure is None:
        raise ExplainedError(
            "returns_no_figure", f"It returns {_kind(returned)} and leaves no figure behind.",
            question="Who will save or show what you drew?",
            pointer="Make a figure with `plt.subplots()` and return it.",
            fix="figure, axes = plt.subplots()\n...\nreturn figure",
        )  # fmt: skip
    return figure


def seen_maps(figure: Any) -> list[SeenMap]:
    """Return the heat maps of a figure, those of `imshow`, `matshow` and `pcolormesh`, without colour bars."""
    bars = {id(getattr(bar, "ax", None)) for axes in figure.axes for bar in _colour_bars(axes)}
    found = [(axes, artist) for axes in figure.axes if id(axes) not in bars for artist in _artists(axes)]
    return [_seen(axes, artist) for axes, artist in found]


def other_axes(figure: Any) -> list[Any]:
    """Return the axes of a figure that hold lines, bars or points."""
    return [axes for axes in figure.axes if axes.lines or axes.patches or (axes.collections and not _artists(axes))]


def _figure_of(returned: Any) -> Any:
    candidates = returned if isinstance(returned, tuple) else (returned,)
    for candidate in candidates:
        figure = candidate if hasattr(candidate, "axes") and hasattr(candidate, "savefig") else None
        figure = figure or getattr(candidate, "figure", None)
        if hasattr(figure, "savefig"):
            return figure
    return None


def _open_figures() -> list[int]:
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return []
    plt.switch_backend("agg")  # nobody looks at it; and switching closes no figure of this backend
    return list(plt.get_fignums())


def _left_behind(before: list[int]) -> list[Any]:
    """Return the figures that pyplot holds and did not hold before."""
    return [sys.modules["matplotlib.pyplot"].figure(number) for number in _open_figures() if number not in before]


def _kind(returned: Any) -> str:
    return "nothing" if returned is None else f"a {type(returned).__name__}"


def _artists(axes: Any) -> list[Any]:
    meshes = [artist for artist in axes.collections if type(artist).__name__ == "QuadMesh"]
    return [artist for artist in (*axes.images, *meshes) if artist.get_array() is not None]


def _colour_bars(axes: Any) -> Iterator[Any]:
    for artist in (*axes.images, *axes.collections):
        if getattr(artist, "colorbar", None) is not None:
            yield artist.colorbar


def _seen(axes: Any, artist: Any) -> SeenMap:
    numbers = np.ma.filled(np.ma.asarray(artist.get_array(), dtype=np.float64), np.nan)
    x, y = _centres(artist, numbers.shape)
    across = _places(axes.transData, [(place, y[0]) for place in x], 0)
    upwards = _places(axes.transData, [(x[0], place) for place in y], 1)
    columns, rows = np.argsort(across), np.argsort(-upwards)
    beside, below = _labels(axes.yaxis, y), _labels(axes.xaxis, x)
    low, high = artist.get_clim()
    return SeenMap(
        numbers=numbers[np.ix_(rows, columns)],
        rows=tuple(beside[row] for row in rows),
        columns=tuple(below[column] for column in columns),
        row_axis=axes.get_ylabel() or axes.figure.get_supylabel(),
        column_axis=axes.get_xlabel() or axes.figure.get_supxlabel(),
        title=axes.get_title(),
        limits=(float("nan") if low is None else float(low), float("nan") if high is None else float(high)),
    )


def _centres(artist: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return where the centres of the columns and of the rows lie, in the units of the axes."""
    num_rows, num_columns = shape[:2]
    if hasattr(artist, "get_coordinates"):  # pcolormesh
        corners = np.asarray(artist.get_coordinates())
        return (corners[0, 1:, 0] + corners[0, :-1, 0]) / 2, (corners[1:, 0, 1] + corners[:-1, 0, 1]) / 2
    left, right, bottom, top = artist.get_extent()
    first, last = (top, bottom) if artist.origin == "upper" else (bottom, top)
    x = left + (np.arange(num_columns) + 0.5) * (right - left) / num_columns
    y = first + (np.arange(num_rows) + 0.5) * (last - first) / num_rows
    return x, y


def _places(transform: Any, points: list[tuple[float, float]], axis: int) -> Array:
    return np.asarray(transform.transform(np.asarray(points, dtype=np.float64)))[:, axis]


def _labels(axis: Any, centres: Array) -> list[str]:
    """Return the text of the tick at each of these places."""
    texts = [label.get_text() for label in axis.get_ticklabels()]
    ticks = [float(place) for place in axis.get_ticklocs()]
    step = abs(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    found = []
    for centre in centres:
        near = [text for place, text in zip(ticks, texts, strict=False) if abs(place - centre) < step / 4]
        found.append(near[0] if near else "")
    return found
