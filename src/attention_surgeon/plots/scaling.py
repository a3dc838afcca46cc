"""The curves of the scaling experiment: what the division by √d_k keeps from happening."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from attention_surgeon.plots.check import checked_title
from attention_surgeon.plots.curves import Curve, checked_curves
from attention_surgeon.plots.labels import power_of_ten, text_width, visible_title
from attention_surgeon.plots.style import Theme, ThemeName, arranged, drawing, new_figure, theme_named

_CALLER = "plot_scaling_curves"
_WIDTH, _HEIGHT = 760.0, 290.0
_MEASURES = {
    "mean_max_weight": "largest weight of a row\n(mean; 1 = all on one key)",
    "entropy_share": "entropy of a row\n(1 = all keys alike)",
    "score_gradient": "gradient that passes the softmax\n(logarithmic)",
}


def plot_scaling_curves(
    rows: Sequence[Mapping[str, object]],
    *,
    title: str = "What the scale 1/√d_k prevents",
    theme: ThemeName = "light",
) -> Figure:
    """Return three small charts over d_k: the largest weight, the entropy and the gradient, with and without scale.

    Without the scale, scores grow like √d_k, the softmax puts everything on one key, and the gradient that comes back
    through it vanishes (Vaswani et al. 2017, section 3.2.1).

    Args:
        rows: One mapping for each d_k and each setting of the scale, in any order, with the keys
            `d_k` (whole number), `scaled` (bool), `mean_max_weight` (0 to 1), `entropy_share` (0 to 1, of the largest
            possible) and `score_gradient` (above 0). A measure may bring its spread as `<name>_low` and
            `<name>_high`, which becomes a band. Other keys are left alone.
        title: Above the charts.
        theme: "light" or "dark".

    Raises:
        ArgumentTypeError, OptionError, NonFiniteError: as their texts say.

    >>> row = {"d_k": 16, "mean_max_weight": 0.4, "entropy_share": 0.7, "score_gradient": 0.01}
    >>> figure = plot_scaling_curves([{**row, "scaled": True}, {**row, "scaled": False}])
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['with 1/√d_k', 'without']
    """
    colours = theme_named(theme, _CALLER)
    heading = checked_title(title, "", _CALLER)
    curves = checked_curves(rows, list(_MEASURES), _CALLER)
    with drawing(colours):
        figure = new_figure(_WIDTH, _HEIGHT)
        if heading:
            figure.suptitle(visible_title(heading, 12.0, 0.9 * _WIDTH), size=12.0)
        for index, (name, lines) in enumerate(curves.items()):
            axes = figure.add_subplot(1, len(curves), 1 + index)
            for scaled, curve in lines.items():
                _draw(axes, curve, scaled, colours)
            _dress(axes, name, lines, colours)
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9.0, handlelength=3.2)
        return arranged(figure)


def _draw(axes: Axes, curve: Curve, scaled: bool, theme: Theme) -> None:
    # Line style and marker tell the two apart on a printed page without colour.
    colour = theme.first if scaled else theme.second
    style, marker, name = ("-", "o", "with 1/√d_k") if scaled else ("--", "s", "without")
    axes.plot(curve.d_k, curve.middle, style, marker=marker, color=colour, label=name, markersize=5, linewidth=1.8)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.d_k, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def _dress(axes: Axes, name: str, lines: Mapping[bool, Curve], theme: Theme) -> None:
    axes.set_title(_MEASURES[name], size=9.0, color=theme.ink, pad=6)
    axes.set_xlabel("d_k (size of a key)", size=9.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    _dress_sizes(axes, sorted({d_k for curve in lines.values() for d_k in curve.d_k}))
    if name == "score_gradient":
        _dress_powers(axes, [value for curve in lines.values() for value in curve.values()])
    else:
        axes.set(ylim=(0.0, 1.04), yticks=np.linspace(0.0, 1.0, 6))
    axes.tick_params(length=0, labelsize=8.5)


def _dress_sizes(axes: Axes, sizes: list[int]) -> None:
    """Label the values of d_k that were measured, leaving out those that would touch the one before."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    points_per_octave = 0.2 * _WIDTH / math.log2(2 * sizes[-1] / sizes[0])
    labelled: list[int] = []
    for size in sizes:
        room = points_per_octave * math.log2(size / labelled[-1]) if labelled else math.inf
        if room > text_width(str(size), 8.5) + 4:
            labelled.append(size)
    axes.set_xticks(labelled, [str(size) for size in labelled])
    axes.xaxis.set_minor_locator(NullLocator())


def _dress_powers(axes: Axes, values: list[float]) -> None:
    """Set up the logarithmic axis from one power of ten to another, labelled without mathtext."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    axes.set_yscale("log")
    axes.set_ylim(10.0**low, 10.0**high)
    powers = range(low, high + 1, math.ceil((high - low) / 6))
    axes.set_yticks([10.0**power for power in powers], [power_of_ten(power) for power in powers])
    axes.yaxis.set_minor_locator(NullLocator())
