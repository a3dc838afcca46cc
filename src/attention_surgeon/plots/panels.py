"""The frame that every map stands in: panels with tokens at the outer edges, axis names, captions and a title."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from attention_surgeon.plots.labels import text_width, visible_title
from attention_surgeon.plots.plan import Plan
from attention_surgeon.plots.style import Theme, new_figure


@dataclass(frozen=True)
class Panels:
    """A figure with its maps still empty.

    Attributes:
        figure: The figure.
        axes: One for each map, in reading order.
        plan: The sizes.
        theme: The colours.
    """

    figure: Figure
    axes: list[Axes]
    plan: Plan
    theme: Theme


def new_panels(
    sizes: Plan,
    *,
    title: str,
    captions: Sequence[str],
    theme: Theme,
    marks: dict[str, Patch],
    right: float = 0.0,
) -> Panels:
    """Return one empty map for each caption; to be called while `style.drawing`.

    Args:
        sizes: Of everything.
        title: Above all maps; may be empty.
        captions: Above each map; may be empty.
        theme: The colours.
        marks: What stands below the maps: words, and the mark that they explain.
        right: Points to be left for more at the right.
    """
    entries = [text_width(mark, sizes.note_size) + 5 * sizes.note_size for mark in marks]
    width = max([sizes.figure_size(heading="", right=right, below=0.0)[0], *entries])
    columns = max(1, len(marks)) if sum(entries) <= width else 1
    below = 1.9 * sizes.note_size * math.ceil(len(marks) / columns) + (8.0 if marks else 0.0)
    heading = visible_title(title, sizes.title_size, width - 2 * sizes.title_size)
    figure = new_figure(width, sizes.figure_size(heading=heading, right=right, below=below)[1])
    if heading:
        figure.suptitle(heading, size=sizes.title_size)
    if marks:
        place, size = "outside lower center", sizes.note_size
        figure.legend(list(marks.values()), list(marks), loc=place, ncols=columns, fontsize=size, handlelength=1.6)
    axes = [figure.add_subplot(*sizes.grid, 1 + index) for index in range(len(captions))]
    panels = Panels(figure, axes, sizes, theme)
    for index, caption in enumerate(captions):
        axes[index].set_title(caption, size=sizes.caption_size, pad=4)
        _label(panels, index)
    _name_axes(panels)
    return panels


def _label(panels: Panels, index: int) -> None:
    """Write the tokens at the outer edges of the grid only: its first column and the lowest map of each column."""
    axes, sizes, columns = panels.axes[index], panels.plan, panels.plan.grid[1]
    at_left, at_bottom = index % columns == 0, index + columns >= len(panels.axes)
    for axis, labels in ((axes.yaxis, sizes.queries), (axes.xaxis, sizes.keys)):
        shown = at_left if axis is axes.yaxis else at_bottom
        axis.set_ticks(labels.positions if shown else [], labels.texts if shown else [], size=labels.size)
        axis.set_tick_params(length=3 if labels.step > 1 else 0, pad=3)
    if sizes.rotation:
        corner = "right" if sizes.rotation == 45 else "center"
        anchor = "anchor" if sizes.rotation == 45 else "default"
        for label in axes.get_xticklabels():
            label.set(rotation=sizes.rotation, ha=corner, rotation_mode=anchor)


def _name_axes(panels: Panels) -> None:
    rows, columns = panels.plan.axis_names()
    if len(panels.axes) == 1:
        panels.axes[0].set_ylabel(rows, size=panels.plan.note_size)
        panels.axes[0].set_xlabel(columns, size=panels.plan.note_size)
        return
    panels.figure.supylabel(rows, size=panels.plan.note_size, color=panels.theme.muted)
    panels.figure.supxlabel(columns, size=panels.plan.note_size, color=panels.theme.muted)
