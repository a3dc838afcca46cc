"""Several maps side by side: all heads of a layer, or one head with and without the scale."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.plots.check import checked_axes, checked_limit, checked_title, checked_weights
from attention_surgeon.plots.style import ThemeName, theme_named
from attention_surgeon.plots.weights import draw_weights
from attention_surgeon.require import require_count

MOST_HEADS = 64


def plot_multihead_attention(
    attention_weights: Float[Tensor, "heads q k"] | Float[np.ndarray, "heads q k"],
    tokens: Sequence[str] | None,
    num_heads: int,
    *,
    key_tokens: Sequence[str] | None = None,
    title: str | None = None,
    max_weight: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Return a grid of heat maps, one for each head, all with the same colours for the same weights.

    Read each map as in `plot_attention_heatmap`: rows are queries ("from"), columns are keys ("to"). Tokens stand at
    the outer edges only, thinned out where the maps are small.

    Args:
        attention_weights: `(num_heads, n_q, n_k)`, from 0 to 1; a tensor of any floating dtype and device, or a NumPy
            array.
        tokens: The n_q tokens of the queries, and of the keys too unless `key_tokens` are given; None for numbers.
        num_heads: How many heads there are, 1 to 64.
        key_tokens: The n_k tokens of the keys (cross-attention).
        title: Above the grid; None for "Attention weights, 12 heads".
        max_weight: Where the colours end; None for the smallest of 1, 0.5, 0.2, 0.1, ... that holds every weight.
        theme: "light" or "dark".

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: as their texts say.

    >>> import torch
    >>> figure = plot_multihead_attention(torch.full((2, 3, 3), 1 / 3), ["the", "cat", "sat"], num_heads=2)
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['head 0', 'head 1']
    """
    caller = "plot_multihead_attention"
    colours = theme_named(theme, caller)
    limit = checked_limit(max_weight, caller)
    weights = checked_weights(attention_weights, caller, axes=("num_heads", "n_q", "n_k"))
    _check_heads(weights.shape, num_heads, caller)
    queries, keys = checked_axes(tokens, key_tokens, weights.shape, caller)
    plural = "head" if num_heads == 1 else "heads"
    heading = checked_title(title, f"Attention weights, {num_heads} {plural}", caller)
    captions = [f"head {head}" if num_heads > 1 else "" for head in range(num_heads)]
    return draw_weights(list(weights), queries, keys, title=heading, captions=captions, theme=colours, max_weight=limit)


def plot_scale_comparison(
    with_scale: Float[Tensor, "q k"] | Float[np.ndarray, "q k"],
    without_scale: Float[Tensor, "q k"] | Float[np.ndarray, "q k"],
    tokens: Sequence[str] | None = None,
    *,
    key_tokens: Sequence[str] | None = None,
    title: str | None = None,
    max_weight: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Return two heat maps of one head, with and without the division by √d_k, under one scale of colours.

    Args:
        with_scale: `(n_q, n_k)`, the weights of `attention(..., scale=True)`.
        without_scale: `(n_q, n_k)`, the weights of `attention(..., scale=False)` on the same input.
        tokens: The n_q tokens of the queries, and of the keys too unless `key_tokens` are given; None for numbers.
        key_tokens: The n_k tokens of the keys (cross-attention).
        title: Above both; None for "The same attention with and without the scale".
        max_weight: As in `plot_attention_heatmap`.
        theme: "light" or "dark".

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: as their texts say.

    >>> import torch
    >>> figure = plot_scale_comparison(torch.full((2, 2), 0.5), torch.eye(2))
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['with the scale 1/√d_k', 'without the scale']
    """
    caller = "plot_scale_comparison"
    colours = theme_named(theme, caller)
    limit = checked_limit(max_weight, caller)
    heading = checked_title(title, "The same attention with and without the scale", caller)
    pair = [
        checked_weights(with_scale, caller, axes=("n_q", "n_k"), name="with_scale"),
        checked_weights(without_scale, caller, axes=("n_q", "n_k"), name="without_scale"),
    ]
    if pair[0].shape != pair[1].shape:
        raise ShapeError(
            f"{caller}: with_scale has shape {pair[0].shape} and without_scale {pair[1].shape}; "
            f"the two must be weights of the same queries and keys."
        )
    queries, keys = checked_axes(tokens, key_tokens, pair[0].shape, caller)
    captions = ["with the scale 1/√d_k", "without the scale"]
    return draw_weights(pair, queries, keys, title=heading, captions=captions, theme=colours, max_weight=limit)


def _check_heads(shape: tuple[int, ...], num_heads: int, caller: str) -> None:
    require_count(num_heads, "num_heads", caller)
    if num_heads != shape[0]:
        raise ShapeError(
            f"{caller}: attention_weights has shape {shape}, so {shape[0]} heads, but num_heads is {num_heads}; "
            f"the first axis of the weights is the head."
        )
    if num_heads > MOST_HEADS:
        raise OptionError(
            f"{caller}: num_heads is {num_heads}, expected at most {MOST_HEADS} in one figure; "
            f"draw them in parts, e.g. attention_weights[:{MOST_HEADS}] with a title that says which."
        )
