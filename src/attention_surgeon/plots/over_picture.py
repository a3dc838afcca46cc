"""Weights of a vision model over the picture that it was given: one panel for each head."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.plots.labels import visible_title
from attention_surgeon.plots.style import ThemeName, arranged, drawing, new_figure, theme_named

_PANEL, _MOST_ACROSS = 190.0, 4
_OPAQUE = 0.7
_MAP = "inferno"


def plot_over_picture(
    picture: Shaped[np.ndarray, "height width *colours"],
    weights: Float[Tensor, "heads rows columns"],
    *,
    names: Sequence[str] | None = None,
    title: str = "What each patch of the picture gets",
    theme: ThemeName = "light",
) -> Figure:
    """Return the picture once for each head, in grey, with the weights of its patches laid over it.

    All heads have one scale of colours, from 0 to the largest weight of all; it stands beside them.

    Args:
        picture: `(height, width, 3)` or `(height, width)`, of any range: it is shown from its darkest to its lightest.
        weights: `(heads, rows, columns)`, one number for each patch, as `surgery.over_patches` gives them.
        names: One for each head; None: numbers.
        title: Above everything.
        theme: "light" or "dark".

    Raises:
        ShapeError: no picture, no weights by head and patch, or another number of names.
        OptionError: another theme.

    >>> import torch
    >>> figure = plot_over_picture(np.zeros((8, 8, 3)), torch.eye(2)[None])
    >>> figure.axes[0].get_title()
    'head 0'
    """
    colours = theme_named(theme, "plot_over_picture")
    if picture.ndim not in (2, 3) or weights.ndim != 3:
        raise ShapeError(
            f"plot_over_picture: picture has shape {picture.shape} and weights {tuple(weights.shape)}; expected "
            f"(height, width, 3) and (heads, rows, columns)."
        )
    count = weights.shape[0]
    if names is not None and len(names) != count:
        raise ShapeError(f"plot_over_picture: {len(names)} names for {count} heads.")
    shown = weights.detach().float().cpu().numpy()
    grey = picture.astype(float).mean(-1) if picture.ndim == 3 else picture.astype(float)
    across = min(count, _MOST_ACROSS)
    down = -(-count // across)
    height, width = grey.shape
    with drawing(colours):
        figure = new_figure(max(across * _PANEL + 80, 380.0), down * (_PANEL * height / width + 30) + 60)
        figure.suptitle(visible_title(title, 12.0, across * _PANEL), size=12.0)
        panels = figure.subplots(down, across, squeeze=False).flatten()
        for panel in panels[count:]:
            panel.remove()
        image = None
        for head, panel in enumerate(panels[:count]):
            panel.imshow(grey, cmap="gray", extent=(0, width, height, 0))
            image = panel.imshow(
                shown[head],
                cmap=_MAP,
                vmin=0.0,
                vmax=float(shown.max()) or 1.0,
                alpha=_OPAQUE,
                extent=(0, width, height, 0),
                interpolation="nearest",
            )
            panel.set_title(f"head {head}" if names is None else visible_title(names[head], 9.0, _PANEL), size=9.0)
            panel.set_xticks([])
            panel.set_yticks([])
        assert image is not None
        bar = figure.colorbar(image, ax=panels[:count].tolist(), shrink=0.8)
        bar.set_label("weight of a patch", size=9.0)
        return arranged(figure)
