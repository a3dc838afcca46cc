"""One or several maps of weights under one scale of colours; every plot of weights ends here."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from attention_surgeon.plots.cells import (
    HATCH,
    block_size,
    draw_cells,
    draw_numbers,
    draw_separators,
    hatch_cells,
    largest_of_blocks,
)
from attention_surgeon.plots.check import Array
from attention_surgeon.plots.labels import line_count, wrapped
from attention_surgeon.plots.panels import Panels, new_panels
from attention_surgeon.plots.plan import Plan, plan
from attention_surgeon.plots.style import Theme, arranged, drawing


def scale_top(largest: float) -> float:
    """Return the smallest of 1, 0.5, 0.2, 0.1, 0.05, ... that is not below `largest`; 1 if all weights are 0.

    Figures of similar weights thus share one scale and can be compared, while the small weights of a long text
    still use the whole range of colours.

    >>> [scale_top(largest) for largest in (0.93, 0.5, 0.21, 0.004, 0.0)]
    [1.0, 0.5, 0.5, 0.005, 1.0]
    """
    if largest <= 0:
        return 1.0
    exponent = int(np.floor(np.log10(largest)))
    tops = [float(f"{digit}e{exponent}") for digit in (1, 2, 5, 10)]
    # 0.2 in float32 is a little more than 0.2
    return min(1.0, next(top for top in tops if largest <= top * (1 + 1e-6)))


def draw_weights(
    maps: Sequence[Array],
    queries: Sequence[str],
    keys: Sequence[str],
    *,
    title: str,
    captions: Sequence[str],
    theme: Theme,
    max_weight: float | None,
) -> Figure:
    """Return a figure of maps of weights `(n_q, n_k)`, all with the same colours for the same weights.

    A map with more rows or columns than can be seen shows the largest weight of each block. A row of zeros is
    hatched: its query had no key to attend to.
    """
    largest = max(float(weights.max()) for weights in maps)
    top = scale_top(largest) if max_weight is None else max_weight
    with drawing(theme, [*queries, *keys, title]):
        sizes = plan(queries, keys, len(maps))
        notes = _scale_notes(sizes, largest)
        marks = _marks(theme) if any(_empty_rows(weights).any() for weights in maps) else {}
        right = 20 + (2.0 + 1.4 * line_count(notes)) * sizes.note_size
        panels = new_panels(sizes, title=title, captions=captions, theme=theme, marks=marks, right=right)
        images = [_draw_map(panels, axes, weights, top) for axes, weights in zip(panels.axes, maps, strict=True)]
        bar = _add_scale(panels, images[0], top, notes, above=largest > top * (1 + 1e-6))
        arranged(panels.figure)
        _align(bar, panels.axes)
        return panels.figure


def _draw_map(panels: Panels, axes: Axes, weights: Array, top: float) -> AxesImage:
    block = block_size(panels.plan)
    shown = largest_of_blocks(weights, block)
    image = draw_cells(axes, shown, panels.plan, cmap=panels.theme.weights, vmin=0.0, vmax=top)
    draw_separators(axes, panels.plan, panels.theme)
    empty = largest_of_blocks(_empty_rows(weights), (block[0], 1))  # a block with one empty row is hatched
    hatch_cells(axes, np.broadcast_to(empty, shown.shape), panels.plan, panels.theme.muted)
    if panels.plan.has_room_for_numbers:
        draw_numbers(axes, image, weights)
    return image


def _empty_rows(weights: Array) -> Array:
    """Return `(n_q, 1)` booleans: the query has no key to attend to."""
    return weights.max(axis=1, keepdims=True) == 0


def _add_scale(panels: Panels, image: AxesImage, top: float, notes: str, *, above: bool) -> Colorbar:
    """Add the one colour bar, from 0 to `top`, with an arrow if there are weights above."""
    size, (height, width) = panels.plan.note_size, panels.plan.maps
    thickness = 1.4 * size
    bar = panels.figure.colorbar(
        image,
        ax=panels.axes,
        fraction=thickness / width,
        aspect=height / thickness,
        pad=0.8 * size / width,
        extend="max" if above else "neither",
    )
    ticks = [tick for tick in MaxNLocator(5).tick_values(0.0, top) if 0 <= tick <= top * (1 + 1e-9)]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.tick_params(labelsize=0.9 * size, length=0)
    bar.set_label(notes, size=size)
    bar.outline.set_edgecolor(panels.theme.line)
    return bar


def _align(bar: Colorbar, maps: Sequence[Axes]) -> None:
    """Make the bar exactly as high as the maps beside it, which the layout engine does only nearly."""
    for axes in maps:
        axes.apply_aspect()
    places = [axes.get_position() for axes in maps]
    bottom, top = min(place.y0 for place in places), max(place.y1 for place in places)
    bar.ax.set_box_aspect(None)
    bar.ax.set_position((bar.ax.get_position().x0, bottom, bar.ax.get_position().width, top - bottom))


def _scale_notes(sizes: Plan, largest: float) -> str:
    """Return the lines beside the colour bar: what the colours mean, how far they are used, what a cell shows."""
    rows, columns = block_size(sizes)
    notes = ["attention weight", f"(largest here: {largest:.2g})"]
    if rows * columns > 1:
        notes.append(f"each cell shows the largest of {rows} × {columns}")
    return wrapped("\n".join(notes), sizes.note_size, sizes.maps[0])


def _marks(theme: Theme) -> dict[str, Patch]:
    swatch = Patch(facecolor=theme.hidden, edgecolor=theme.muted, linewidth=0, hatch=HATCH)
    return {"no key to attend to (all weights 0)": swatch}
