"""Square maps of shares side by side, under one scale of colours that does not lose the small ones."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_surgeon.plots.labels import visible_title, wrapped
from attention_surgeon.plots.style import ThemeName, arranged, drawing, new_figure, theme_named

_SIDE = 250.0


def plot_fields(
    fields: Mapping[str, np.ndarray],
    *,
    title: str,
    row_name: str,
    column_name: str,
    label: str,
    theme: ThemeName = "light",
) -> Figure:
    """Return one map for each field, in colours that follow the square root, so that small numbers stay visible.

    Args:
        fields: Caption and numbers `(rows, columns)` from 0 to 1, at least one field; row 0 is drawn at the top.
        title: Above all maps.
        row_name: Beside the maps.
        column_name: Below the maps.
        label: Beside the bar of colours.
        theme: "light" or "dark".

    Raises:
        OptionError: an unknown theme.

    >>> figure = plot_fields({"a": np.eye(3)}, title="t", row_name="i", column_name="j", label="share")
    >>> figure.axes[0].get_title()
    'a'
    """
    colours = theme_named(theme, "plot_fields")
    with drawing(colours):
        width = max(len(fields) * _SIDE + 90, 420.0)
        figure = new_figure(width, _SIDE + 90)
        figure.suptitle(visible_title(title, 12.0, 0.92 * width), size=12.0)
        maps = [figure.add_subplot(1, len(fields), 1 + n) for n in range(len(fields))]
        image = None
        for axes, (caption, field) in zip(maps, fields.items(), strict=True):
            image = axes.imshow(np.sqrt(field), cmap=colours.weights, vmin=0.0, vmax=1.0, interpolation="nearest")
            axes.set_title(wrapped(caption, 9.5, 0.95 * _SIDE), size=9.5, pad=5)
            axes.tick_params(length=0, labelsize=8.5)
            axes.set_xlabel(column_name, size=9.0)
        maps[0].set_ylabel(row_name, size=9.0)
        assert image is not None  # there is at least one field
        bar = figure.colorbar(image, ax=maps, fraction=0.03, pad=0.015)
        shown = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)
        bar.set_ticks([share**0.5 for share in shown], labels=[f"{share:g}" for share in shown])
        bar.set_label(label, size=9.0)
        bar.ax.tick_params(length=0, labelsize=8.0)
        return arranged(figure)
