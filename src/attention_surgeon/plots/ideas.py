"""The ideas behind attention as drawings: arrows, a lookup, heads, a mask, saturation. Every number is computed.

They are narrow and their letters large, because the page that shows them (docs/intuition.md) is read on telephones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import Tensor

from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import attention, merge_heads, split_heads
from attention_surgeon.plots.style import Theme, ThemeName, arranged, drawing, new_figure, theme_named

_WIDTH = 345.0  # points; shown 350 pixels wide on a telephone, ten points are ten pixels
_LARGE, _USUAL = 12.0, 10.5
_WORDS = ("the", "cat", "sat", "on", "it")

Draw: TypeAlias = Callable[[ThemeName], Figure]


def draw_angles(theme: ThemeName = "light") -> Figure:
    """Return a query and three keys as arrows, and what the angles between them become: scores, then weights.

    >>> [axes.get_title() for axes in draw_angles().axes]
    ['one query, three keys', 'angle, score and weight of each key']
    """
    look = theme_named(theme, "draw_angles")
    degrees = {"cat": 25.0, "sat": 105.0, "the": 165.0}
    query = 2.0 * _direction([50.0])
    keys = 1.5 * _direction(list(degrees.values()))
    scores = (query @ keys.T)[0]
    weights = attention(query, keys, keys)[1][0]
    with drawing(look):
        figure = new_figure(_WIDTH, 390.0)
        plane, bars = figure.subplots(2, 1, height_ratios=[1.7, 1.0])
        _bare(plane, (-1.9, 2.0), (-0.25, 2.0), "one query, three keys", look)
        plane.set_aspect("equal")
        _arrow(plane, (0, 0), tuple(query[0].tolist()), look.second, 3.0)
        plane.text(1.33, 1.62, "query: it", color=look.second, size=_LARGE, ha="left", va="bottom", weight="bold")
        for (name, angle), key, weight in zip(degrees.items(), keys.tolist(), weights.tolist(), strict=True):
            _arrow(plane, (0, 0), tuple(key), look.first, 1.5 + 3.0 * weight)
            x, y = 1.24 * key[0], 1.12 * key[1] + 0.04
            plane.text(x, y, f"key: {name}", color=look.first, size=_LARGE, ha="center", va="center")
            low, high = sorted((50.0, angle))
            radius = 0.9 + 0.004 * angle
            plane.add_patch(Arc((0, 0), radius, radius, theta1=low, theta2=high, color=look.muted, lw=1.2))
        _bars(bars, list(degrees), weights.tolist(), "angle, score and weight of each key", look)
        bars.set_xlim(0, 1.27)
        for place, (angle, score) in enumerate(zip(degrees.values(), scores.tolist(), strict=True)):
            told = f"{abs(angle - 50):.0f}°, score {score:.2f}"
            bars.text(1.26, place, told, size=_USUAL, color=look.muted, ha="right", va="center")
        return arranged(figure)


def draw_lookup(theme: ThemeName = "light") -> Figure:
    """Return a lookup that decides beside one that does not: thin and thick lines are weights.

    >>> [axes.get_title() for axes in draw_lookup().axes]
    ['a dictionary: one key, or an error', 'attention: every key, as well as it fits']
    """
    look = theme_named(theme, "draw_lookup")
    names, prices = ("apple", "pear", "lemon"), torch.tensor([[2.0], [3.0], [1.0]]).double()
    keys = _direction([10.0, 45.0, 120.0])
    query = 5.0 * _direction([15.0])
    output, weights = attention(query, keys, prices)
    with drawing(look):
        figure = new_figure(_WIDTH, 400.0)
        hard, soft = figure.subplots(2, 1)
        _lookup(hard, names, prices[:, 0].tolist(), [1.0, 0.0, 0.0], "apple", look)
        hard.set_title("a dictionary: one key, or an error", size=_LARGE, color=look.ink)
        _lookup(soft, names, prices[:, 0].tolist(), weights[0].tolist(), "like an\napple", look, output.item())
        soft.set_title("attention: every key, as well as it fits", size=_LARGE, color=look.ink)
        return arranged(figure)


def draw_heads(theme: ThemeName = "light") -> Figure:
    """Return how the numbers of five tokens are cut into three heads, attend apart, and are merged again.

    >>> len(draw_heads().axes)
    11
    """
    look = theme_named(theme, "draw_heads")
    x = torch.randn(len(_WORDS), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    heads = split_heads(x[None], 3)[0]
    output, weights = attention(2.0 * heads, heads, heads)
    merged = merge_heads(output[None])[0]
    hues = (look.first, look.second, look.more[0])
    with drawing(look):
        figure = new_figure(_WIDTH, 560.0)
        grid = figure.add_gridspec(5, 3, height_ratios=[1.0, 1.0, 1.15, 1.0, 1.0])
        whole = figure.add_subplot(grid[0, :])
        _numbers(whole, x, [hues[i // 2] for i in range(6)], look)
        whole.set_title("five tokens, six numbers each", size=_LARGE, color=look.ink)
        whole.set_yticks(range(len(_WORDS)), _WORDS, size=_USUAL)
        for head, hue in enumerate(hues):
            part = figure.add_subplot(grid[1, head])
            _numbers(part, heads[head], [hue] * 2, look)
            part.set_title(f"head {head}", size=_LARGE, color=hue)
            seen = figure.add_subplot(grid[2, head])
            _shades(seen, weights[head].numpy(), look)
            back = figure.add_subplot(grid[3, head])
            _numbers(back, output[head], [hue] * 2, look)
            if head == 1:
                part.set_xlabel("each head compares its own two", size=_USUAL, color=look.muted)
                seen.set_xlabel("and has weights of its own", size=_USUAL, color=look.muted)
                back.set_xlabel("two new numbers for each token in each head", size=_USUAL, color=look.muted)
        joined = figure.add_subplot(grid[4, :])
        _numbers(joined, merged, [hues[i // 2] for i in range(6)], look)
        joined.set_title("merged: side by side again", size=_LARGE, color=look.ink)
        joined.set_yticks(range(len(_WORDS)), _WORDS, size=_USUAL)
        return arranged(figure)


def draw_mask(theme: ThemeName = "light") -> Figure:
    """Return whom one token may look at under a causal mask, and what becomes of its weights.

    >>> [axes.get_title() for axes in draw_mask().axes]
    ['"sat" may look back, not ahead', 'without a mask', 'with the mask']
    """
    look = theme_named(theme, "draw_mask")
    at = _WORDS.index("sat")
    x = torch.randn(len(_WORDS), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    allowed = causal_mask(len(_WORDS)).dense()
    before, after = (attention(x, x, x, mask=mask)[1][at] for mask in (None, allowed))
    with drawing(look):
        figure = new_figure(_WIDTH, 480.0)
        words, plain, masked = figure.subplots(3, 1, height_ratios=[1.0, 1.0, 1.0])
        _bare(words, (-0.7, len(_WORDS) - 0.3), (-0.75, 1.1), '"sat" may look back, not ahead', look)
        for place, word in enumerate(_WORDS):
            is_seen = bool(allowed[at, place])
            colour = look.ink if is_seen else look.muted
            words.text(place, -0.1, word, size=_LARGE, color=colour, ha="center", va="top", weight="bold")
            if place != at:
                bend = 0.55 if place < at else -0.55
                style = "-" if is_seen else (0, (3, 3))
                _arrow(words, (at, 0.05), (place, 0.05), look.first if is_seen else look.muted, 2.0, bend, style)
            note = "itself" if place == at else "seen" if is_seen else "hidden"
            words.text(
                place, -0.42, note, size=_USUAL, color=look.first if is_seen else look.muted, ha="center", va="top"
            )
        _bars(plain, list(_WORDS), before.tolist(), "without a mask", look)
        _bars(masked, list(_WORDS), after.tolist(), "with the mask", look, allowed[at].tolist())
        return arranged(figure)


def draw_saturation(theme: ThemeName = "light") -> Figure:
    """Return what larger scores do to the weights of one row, and to how much learning can still move them.

    >>> [axes.get_title() for axes in draw_saturation().axes][-1]
    'what a gradient can still move: w (1 - w)'
    """
    look = theme_named(theme, "draw_saturation")
    scores = torch.tensor([1.0, 0.6, -0.2, -0.9], dtype=torch.float64)
    sizes = (1.0, 4.0, 16.0)
    steps = torch.logspace(-1, 1.6, 60, dtype=torch.float64)
    slopes = [float((p := torch.softmax(step * scores, -1).max()) * (1 - p)) for step in steps]
    with drawing(look):
        figure = new_figure(_WIDTH, 430.0)
        rows = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.2])
        for place, size in enumerate(sizes):
            axes = figure.add_subplot(rows[0, place])
            weights = torch.softmax(size * scores, -1).tolist()
            axes.bar(range(4), weights, color=look.first)
            _dress(axes, f"scores × {size:g}", look)
            axes.set_ylim(0, 1.15)
            axes.set_yticks([])
            axes.set_xticks(range(4), [f"k{i}" for i in range(4)], size=_USUAL)
            axes.text(0, weights[0] + 0.02, f"{weights[0]:.2f}", size=_USUAL, color=look.ink, ha="center")
        curve = figure.add_subplot(rows[1, :])
        curve.plot(steps, slopes, color=look.second, lw=2.5)
        for size in sizes:
            top = torch.softmax(size * scores, -1).max().item()
            curve.plot([size], [top * (1 - top)], "o", color=look.second)
            curve.text(size * 1.1, top * (1 - top) + 0.012, f"× {size:g}", size=_USUAL, color=look.ink)
        curve.set_xscale("log")
        curve.set_xticks([0.1, 1, 10], ["0.1", "1", "10"], size=_USUAL)
        curve.minorticks_off()
        curve.set_xlabel("the scores are multiplied by this", size=_USUAL, color=look.muted)
        _dress(curve, "what a gradient can still move: w (1 - w)", look)
        curve.set_ylim(0, 0.29)
        curve.set_yticks([0.0, 0.1, 0.2])
        return arranged(figure)


IDEAS: Mapping[str, Draw] = {
    "angles": draw_angles,
    "lookup": draw_lookup,
    "heads": draw_heads,
    "mask": draw_mask,
    "saturation": draw_saturation,
}
"""The drawings by the name of their file."""


def _direction(degrees: Sequence[float]) -> Tensor:
    """Return arrows of length 1 `(n, 2)` that point that way; 0 is to the right, 90 up."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def _lookup(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    weights: Sequence[float],
    asked: str,
    look: Theme,
    output: float | None = None,
) -> None:
    """Draw the query, the keys, the values and the answer from left to right, joined as strongly as they weigh."""
    _bare(axes, (-0.1, 4.0), (-0.6, 2.9), "", look)
    _box(axes, 0.35, 1.0, asked, look.second, look)
    for row, (name, value, weight) in enumerate(zip(names, values, weights, strict=True)):
        height = 2.0 - row
        colour = look.first if weight else look.muted
        _box(axes, 1.7, height, name, look.first, look)
        _box(axes, 2.65, height, f"{value:.0f}", look.first, look, 0.25)
        if weight:
            for start, end in (((0.78, 1.0), (1.25, height)), ((2.93, height), (3.4, 1.0))):
                axes.plot(*zip(start, end, strict=True), color=colour, lw=0.6 + 7.0 * weight, solid_capstyle="round")
            ground = {"facecolor": look.background, "edgecolor": "none", "pad": 1.0}
            middle = 0.4 + 0.6 * height
            axes.text(1.06, middle, f"{weight:.2f}", size=_USUAL, color=look.ink, ha="center", va="center", bbox=ground)
        axes.plot([2.15, 2.38], [height, height], color=colour, lw=1.0)
    answer = f"{values[0]:.0f}" if output is None else f"{output:.2f}"
    _box(axes, 3.68, 1.0, answer, look.second, look, 0.28)
    for place, word in ((0.35, "query"), (1.7, "keys"), (2.65, "values"), (3.68, "answer")):
        axes.text(place, 2.62, word, size=_USUAL, color=look.muted, ha="center")


def _box(axes: Axes, x: float, y: float, text: str, colour: str, look: Theme, half: float = 0.42) -> None:
    shape = FancyBboxPatch(
        (x - half, y - 0.3),
        2 * half,
        0.6,
        boxstyle="round,pad=0,rounding_size=0.08",
        fc=look.background,
        ec=colour,
        lw=1.8,
    )
    axes.add_patch(shape)
    axes.text(x, y, text, size=_USUAL, color=look.ink, ha="center", va="center", linespacing=0.95)


def _numbers(axes: Axes, values: Tensor, hues: list[str], look: Theme) -> None:
    """Draw a table whose columns have the colour of their head; larger numbers are stronger."""
    sizes = (values.abs() / values.abs().max()).numpy()
    for (row, column), size in np.ndenumerate(sizes):
        face = (*_rgb(hues[column]), 0.15 + 0.85 * float(size))
        axes.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fc=face, ec="none"))
    axes.set_xlim(-0.6, values.shape[1] - 0.4)
    axes.set_ylim(values.shape[0] - 0.4, -0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.tick_params(length=0, colors=look.ink)


def _shades(axes: Axes, weights: Any, look: Theme) -> None:
    axes.imshow(weights, cmap=look.weights, vmin=0.0, vmax=1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(look.line)


def _bars(
    axes: Axes,
    names: Sequence[str],
    weights: Sequence[float],
    title: str,
    look: Theme,
    allowed: Sequence[bool] | None = None,
) -> None:
    """Draw weights as bars with their numbers; a hidden key has a word in the place of a bar."""
    places = range(len(names))
    axes.barh(places, weights, color=look.first, height=0.62)
    for place, weight in enumerate(weights):
        is_hidden = allowed is not None and not allowed[place]
        word = "hidden: 0" if is_hidden else f"{weight:.2f}"
        axes.text(weight + 0.015, place, word, size=_USUAL, color=look.muted if is_hidden else look.ink, va="center")
    axes.set_yticks(places, names, size=_USUAL)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.0)
    _dress(axes, title, look)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])


def _arrow(
    axes: Axes,
    start: tuple[int | float, ...],
    end: tuple[int | float, ...],
    colour: str,
    width: float,
    bend: float = 0.0,
    style: Any = "-",
) -> None:
    arrow = FancyArrowPatch(
        (start[0], start[1]),
        (end[0], end[1]),
        arrowstyle="-|>,head_length=7,head_width=4",
        connectionstyle=f"arc3,rad={bend}",
        color=colour,
        lw=width,
        linestyle=style,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)


def _bare(
    axes: Axes, x: tuple[int | float, int | float], y: tuple[int | float, int | float], title: str, look: Theme
) -> None:
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_axis_off()
    axes.set_title(title, size=_LARGE, color=look.ink)


def _dress(axes: Axes, title: str, look: Theme) -> None:
    axes.set_title(title, size=_LARGE, color=look.ink)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=_USUAL)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
