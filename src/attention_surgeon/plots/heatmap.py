"""The map of one head."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.plots.check import checked_axes, checked_limit, checked_title, checked_weights
from attention_surgeon.plots.style import ThemeName, theme_named
from attention_surgeon.plots.weights import draw_weights

_CALLER = "plot_attention_heatmap"


def plot_attention_heatmap(
    attention_weights: Float[Tensor, "q k"] | Float[np.ndarray, "q k"],
    tokens: Sequence[str] | None,
    title: str = "Attention Weights",
    *,
    key_tokens: Sequence[str] | None = None,
    max_weight: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Return a heat map that shows how much each query (row, "from") attends to each key (column, "to").

    Row 0 is at the top. Cells large enough show their weight as a number. Up to 200 tokens each is labelled, beyond
    that every 2nd, 5th, ... as the axis says; a map too large for its paper shows the largest weight of each block,
    as the colour bar says. A row of zeros (a query without a key to attend to) is hatched.

    The colours start at 0 and end at the smallest of 1, 0.5, 0.2, 0.1, 0.05, ... that holds every weight: fixed steps,
    so that similar figures share one scale, and never 1 for a long text, whose map would be blank. To give two
    figures the same scale whatever they hold, pass the same `max_weight`.

    Args:
        attention_weights: `(n_q, n_k)`, from 0 to 1; a tensor of any floating dtype and device, or a NumPy array.
            Rows need not sum to 1: a mistake is worth seeing.
        tokens: The n_q tokens of the queries, and of the keys too unless `key_tokens` are given; None for numbers.
            Whitespace is made visible, long tokens are shortened, letters that the font lacks are escaped.
        title: Above the map. Text, not mathematics: a `$` is a `$`.
        key_tokens: The n_k tokens of the keys (cross-attention).
        max_weight: Where the colours end; larger weights share the last colour, and the colour bar shows an arrow.
        theme: "light" or "dark".

    Returns:
        A figure that belongs to nobody else: nothing is shown and no setting of matplotlib is changed.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: as their texts say.

    >>> import torch
    >>> figure = plot_attention_heatmap(torch.eye(3), ["the", "cat", "sat"])
    >>> figure.axes[0].get_xlabel(), [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ('to (key)', ['the', 'cat', 'sat'])
    """
    colours = theme_named(theme, _CALLER)
    heading = checked_title(title, "", _CALLER)
    limit = checked_limit(max_weight, _CALLER)
    weights = checked_weights(attention_weights, _CALLER, axes=("n_q", "n_k"))
    queries, keys = checked_axes(tokens, key_tokens, weights.shape, _CALLER)
    return draw_weights([weights], queries, keys, title=heading, captions=[""], theme=colours, max_weight=limit)
