"""Heat maps of attention weights, judged by what they show: numbers, orientation, tokens, axis names, colours.

matplotlib is not imported here: whoever drew a figure has loaded it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.course.exercises.calling import called, returns_nothing
from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import require_unchanged
from attention_surgeon.testing.answer import Array, same_numbers
from attention_surgeon.testing.draw import generator

TOKENS = ("The", "cat", "sat", "on", "the", "mat", ".")
"""Two of them differ by a capital only: a plot that sorts by token mixes them up."""

_QUERY, _KEY = ("query", "queries", "from"), ("key", "keys", "to")


def sample_weights(*batch: int, seed: int = 3) -> Tensor:
    """Return weights `(*batch, 7, 7)`, no two alike and none of them 0, so that orientation and colours show."""
    return torch.softmax(torch.randn(*batch, len(TOKENS), len(TOKENS), generator=generator(seed)), dim=-1)


def check_heatmap(function: Callable[..., Any]) -> None:
    """Judge `plot_attention_heatmap(attention_weights, tokens, title)`.

    Raises:
        ExplainedError: the figure does not show the weights as the lab asks.
    """
    __tracebackhide__ = True
    given = sample_weights()
    figure = drawn(function, given, list(TOKENS), "A title")
    maps = seen_maps(figure)
    check_maps(maps, sample_weights()[None], TOKENS)
    require_unchanged(given, sample_weights())
    titles = [maps[0].title, getattr(getattr(figure, "_suptitle", None), "get_text", str)()]
    if "A title" not in titles:
        raise ExplainedError(
            "title_missing", "The title that was given stands nowhere.", question="Where did `title` go?",
            pointer="Hand it to the axes.", fix="axes.set_title(title)",
        )  # fmt: skip


def check_heatmap_array(function: Callable[..., Any]) -> None:
    """Judge `plot_weights(weights, tokens)` with a NumPy array.

    Raises:
        ExplainedError: the figure does not show the weights as the lab asks.
    """
    __tracebackhide__ = True
    weights = sample_weights().double().numpy()
    figure = drawn(function, weights, list(TOKENS))
    check_maps(seen_maps(figure), sample_weights()[None], TOKENS)


def check_head_grid(function: Callable[..., Any]) -> None:
    """Judge `plot_multihead_attention(attention_weights, tokens, num_heads)`.

    Raises:
        ExplainedError: the figure does not show every head, or not with one scale of colours.
    """
    __tracebackhide__ = True
    for num_heads in (3, 4):
        weights = sample_weights(num_heads)
        figure = drawn(function, weights, list(TOKENS), num_heads)
        check_maps(seen_maps(figure), weights, TOKENS, all_named=False)


def check_head_grid_alone(function: Callable[..., Any]) -> None:
    """Judge `plot_heads(weights, tokens)`.

    Raises:
        ExplainedError: as for `check_head_grid`.
    """
    __tracebackhide__ = True
    check_head_grid(lambda weights, tokens, num_heads: function(weights, tokens))


def check_pair_of_maps(function: Callable[..., Any]) -> None:
    """Judge `plot_scale_comparison(scaled, unscaled, tokens)`: two maps, arrays, one scale of colours.

    Raises:
        ExplainedError: the figure does not show both, or not with one scale of colours.
    """
    __tracebackhide__ = True
    pair = sample_weights(2)
    figure = drawn(function, pair[0].double().numpy(), pair[1].double().numpy(), list(TOKENS))
    maps = seen_maps(figure)
    check_maps(maps, pair, TOKENS, all_named=False)
    if "" in (maps[0].title, maps[1].title) or maps[0].title == maps[1].title:
        raise ExplainedError(
            "maps_not_told_apart", "Nothing says which of the two maps is which.",
            question="Could a reader tell from the figure alone which one is scaled?",
            pointer="Each map needs a title of its own.", fix='axes[0].set_title("with 1/√d_k")',
        )  # fmt: skip


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


def check_maps(maps: Sequence[SeenMap], weights: Tensor, tokens: Sequence[str], *, all_named: bool = True) -> None:
    """Compare the maps of a figure with what they should show.

    Args:
        maps: As they are seen.
        weights: `(maps, n_q, n_k)`.
        tokens: Of queries and keys.
        all_named: Whether every map must have its tokens; in a grid those at the edge are enough.

    Raises:
        ExplainedError: the first thing that is not so.
    """
    __tracebackhide__ = True
    _check_number(maps, len(weights))
    for index, seen in enumerate(maps):
        _check_numbers(seen, weights[index].double().numpy(), f"Map {index}" if len(maps) > 1 else "The map")
    named = maps if all_named else maps[:1]
    for seen in named:
        _check_tokens(seen.rows if all_named else _named(maps, "rows"), tokens, "rows", "y")
        _check_tokens(seen.columns if all_named else _named(maps, "columns"), tokens, "columns", "x")
    _check_axes(maps)
    _check_colours(maps, float(weights.max()))


def _named(maps: Sequence[SeenMap], side: str) -> tuple[str, ...]:
    """Return the labels of the first map that has some."""
    return next((getattr(seen, side) for seen in maps if any(getattr(seen, side))), getattr(maps[0], side))


def _check_number(maps: Sequence[SeenMap], expected: int) -> None:
    if len(maps) == expected:
        return
    raise ExplainedError(
        "wrong_number_of_maps", f"The number of heat maps in the figure is {len(maps)}, expected {expected}.",
        question="How many matrices are there to be shown?",
        pointer="One `imshow` for each of them; empty axes are switched off.",
        fix="axes.imshow(weights, vmin=0, vmax=1)",
    )  # fmt: skip


def _check_numbers(seen: SeenMap, weights: Array, called: str) -> None:
    for name, other, symptom, question, pointer, fix in _ORIENTATIONS:
        if not same_numbers(seen.numbers, weights) and same_numbers(seen.numbers, other(weights)):
            raise ExplainedError(
                name, f"{called} shows {symptom}.", question=question, pointer=pointer, fix=fix,
                step="map", yours=seen.numbers, expected=weights,
            )  # fmt: skip
    if not same_numbers(seen.numbers, weights):
        raise ExplainedError(
            "other_numbers", f"{called} does not show the weights that were given.",
            question="Which numbers do you hand to `imshow`?",
            pointer="Show the weights as they are: no scaling, no logarithm, no mean.",
            fix="axes.imshow(attention_weights)", step="map", yours=seen.numbers, expected=weights,
        )  # fmt: skip


_ORIENTATIONS: tuple[tuple[str, Callable[[Array], Array], str, str, str, str], ...] = (
    ("map_transposed", lambda w: w.T, "queries as columns and keys as rows",
     "Read along one row of your map: do the numbers sum to 1?",
     "Rows are queries, columns are keys; look for a transpose too many.", "axes.imshow(attention_weights)"),
    ("map_upside_down", lambda w: w[::-1], "the first query at the bottom",
     "In which corner does a causal map begin?",
     "Look at `origin` or at the limits of the y axis.", 'axes.imshow(attention_weights, origin="upper")'),
    ("map_mirrored", lambda w: w[:, ::-1], "the first key at the right", "In which direction does one read a sentence?",
     "Look at the limits of the x axis.", "axes.imshow(attention_weights)"),
)  # fmt: skip


def _check_tokens(labels: Sequence[str], tokens: Sequence[str], side: str, axis: str) -> None:
    if [label.strip() for label in labels] == list(tokens):
        return
    is_missing = not any(label in tokens for label in labels)
    symptom = (
        f"No tokens stand at the {side}." if is_missing else f"The {side} are labelled {' '.join(map(repr, labels))}."
    )
    raise ExplainedError(
        "tokens_missing" if is_missing else "tokens_misplaced", symptom,
        question="Which word does the brightest cell belong to?",
        pointer=f"Every one of the {len(tokens)} {side} needs a tick at its centre, with its token.",
        fix=f"axes.set_{axis}ticks(range(len(tokens)), tokens)",
    )  # fmt: skip


def _check_axes(maps: Sequence[SeenMap]) -> None:
    rows = " ".join(seen.row_axis for seen in maps).lower()
    columns = " ".join(seen.column_axis for seen in maps).lower()
    if _says(rows, _QUERY) and _says(columns, _KEY):
        return
    is_swapped = _says(rows, _KEY) and _says(columns, _QUERY)
    raise ExplainedError(
        "axis_names_swapped" if is_swapped else "axis_names_missing",
        f"The axes are called {rows.strip() or 'nothing'!r} and {columns.strip() or 'nothing'!r}.",
        question="Who asks in this picture, the rows or the columns?",
        pointer="The y axis is the query (from), the x axis the key (to); say so.",
        fix='axes.set_ylabel("from (query)")\naxes.set_xlabel("to (key)")',
    )  # fmt: skip


def _says(text: str, words: Sequence[str]) -> bool:
    found = text.replace("(", " ").replace(")", " ").replace(",", " ").replace(":", " ").split()
    return any(word in found for word in words)


def _check_colours(maps: Sequence[SeenMap], largest: float) -> None:
    limits = [seen.limits for seen in maps]
    if len({(round(low, 6), round(high, 6)) for low, high in limits}) > 1:
        raise ExplainedError(
            "colours_differ", f"The maps have colours of their own: from 0 to {min(high for _, high in limits):.2f} in "
            f"one, to {max(high for _, high in limits):.2f} in another.",
            question="Does the same colour mean the same weight in two of your maps?",
            pointer="Give every `imshow` the same vmin and vmax.", fix="axes.imshow(weights[head], vmin=0, vmax=1)",
        )  # fmt: skip
    low, high = limits[0]
    if not (np.isclose(low, 0.0, atol=1e-6) and high >= largest - 1e-6):
        raise ExplainedError(
            "colours_not_from_zero", f"The colours go from {low:.3g} to {high:.3g}.",
            question="Which colour should a weight of 0 have, in every map that you will ever draw?",
            pointer="Weights lie between 0 and 1: say so with vmin and vmax, or two figures cannot be compared.",
            fix="axes.imshow(attention_weights, vmin=0, vmax=1)",
        )  # fmt: skip


def drawn(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call somebody's plot function and return its figure.

    The figures that it made are closed in pyplot; what they show can still be read.

    Raises:
        CrashError: it stops with an error.
        ExplainedError: something else than a figure comes back.
    """
    __tracebackhide__ = True
    before = _open_figures()
    try:
        returned = called(function, *arguments)
    finally:
        for figure in _left_behind(before):
            sys.modules["matplotlib.pyplot"].close(figure)
    if returned is None:
        raise returns_nothing(function)
    if not (hasattr(returned, "axes") and hasattr(returned, "savefig")):
        raise ExplainedError(
            "returns_no_figure", f"It returns {_kind(returned)}, expected a figure.",
            question="Who will save or show what you drew?",
            pointer="Make a figure with `plt.subplots()` and return the figure, not its axes.",
            fix="figure, axes = plt.subplots()\n...\nreturn figure",
        )  # fmt: skip
    return returned


def seen_maps(figure: Any) -> list[SeenMap]:
    """Return the heat maps of a figure, those of `imshow`, `matshow` and `pcolormesh`, without colour bars."""
    bars = {id(getattr(bar, "ax", None)) for axes in figure.axes for bar in _colour_bars(axes)}
    found = [(axes, artist) for axes in figure.axes if id(axes) not in bars for artist in _artists(axes)]
    return [_seen(axes, artist) for axes, artist in found]


def other_axes(figure: Any) -> list[Any]:
    """Return the axes of a figure that hold lines, bars or points."""
    return [axes for axes in figure.axes if axes.lines or axes.patches or (axes.collections and not _artists(axes))]


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
    if isinstance(returned, tuple | list):
        return f"a {type(returned).__name__} of {len(returned)}"
    name = type(returned).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


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
