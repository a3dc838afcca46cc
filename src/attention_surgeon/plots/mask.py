"""The map of a mask: who may attend to whom."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Shaped
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, ShapeError
from attention_surgeon.ops import LazyMask, resolve_mask
from attention_surgeon.plots.cells import HATCH, block_size, draw_cells, draw_separators, hatch_cells, largest_of_blocks
from attention_surgeon.plots.check import Array, checked_axes, checked_title
from attention_surgeon.plots.panels import new_panels
from attention_surgeon.plots.plan import plan
from attention_surgeon.plots.style import Theme, ThemeName, arranged, drawing, theme_named
from attention_surgeon.require import kind_of

_CALLER = "plot_mask"
_HIDDEN, _MIXED, _ALLOWED = 0, 1, 2
_MOST_EDGES = 10_000  # in a mask more ragged than that, hatching is noise on the paper and megabytes in the file

AnyMask: TypeAlias = Shaped[Tensor, "q k"] | Shaped[np.ndarray, "q k"] | LazyMask


def plot_mask(
    mask: AnyMask,
    tokens: Sequence[str] | None = None,
    *,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention mask",
    theme: ThemeName = "light",
) -> Figure:
    """Return a map of a mask: a filled cell may attend, a hatched one is hidden; the legend counts both.

    Args:
        mask: `(n_q, n_k)`. Boolean or integers 0 and 1: True = may attend. Floating: added to the scores, where -inf
            or the lowest finite number hides. Or a mask object of `attention_surgeon.masks`.
        tokens: The n_q tokens of the queries, and of the keys too unless `key_tokens` are given; None for numbers.
        key_tokens: The n_k tokens of the keys (cross-attention).
        title: Above the map.
        theme: "light" or "dark".

    Raises:
        ArgumentTypeError, ShapeError: as their texts say.
        MaskError: a mask whose meaning is in doubt, as for `attention`.
        OptionError: another theme.

    >>> import torch
    >>> figure = plot_mask(torch.ones(3, 3).tril().bool(), ["the", "cat", "sat"])
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['may attend (6 of 9 pairs)', 'hidden (3)']
    """
    colours = theme_named(theme, _CALLER)
    heading = checked_title(title, "", _CALLER)
    allowed, bias = _checked_mask(mask)
    queries, keys = checked_axes(tokens, key_tokens, allowed.shape, _CALLER)
    with drawing(colours, [*queries, *keys, heading]):
        sizes = plan(queries, keys, 1)
        states = _states(allowed, block_size(sizes))
        hatch = HATCH if np.count_nonzero(np.diff(states, axis=1)) <= _MOST_EDGES else ""
        marks = _marks(allowed, block_size(sizes), hatch, colours) | _remarks(allowed, bias)
        panels = new_panels(sizes, title=heading, captions=[""], theme=colours, marks=marks)
        axes, shades = panels.axes[0], ListedColormap([colours.hidden, colours.mixed, colours.allowed])
        draw_cells(axes, states, sizes, cmap=shades, norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3))
        draw_separators(axes, sizes, colours)
        if hatch:
            hatch_cells(axes, states == _HIDDEN, sizes, colours.muted)
        return arranged(panels.figure)


def _checked_mask(mask: object) -> tuple[Array, Array | None]:
    """Return who may attend `(n_q, n_k)` and what is added to the scores, if anything is."""
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "bif":
        mask = torch.tensor(mask)
    if not isinstance(mask, Tensor | LazyMask):
        what = f"an array of dtype {mask.dtype}" if isinstance(mask, np.ndarray) else kind_of(mask)
        raise ArgumentTypeError(
            f"{_CALLER}: mask is {what}, expected a torch.Tensor, a NumPy array of booleans or numbers, "
            f"or a mask of attention_surgeon.masks."
        )
    dense = mask.detach().cpu() if isinstance(mask, Tensor) else mask.dense()
    if dense.ndim != 2:
        raise ShapeError(f"{_CALLER}: mask has shape {tuple(dense.shape)}, expected (n_q, n_k); {_way_out(dense)}.")
    if 0 in dense.shape:
        raise ShapeError(f"{_CALLER}: mask has shape {tuple(dense.shape)}, so there is nothing to draw.")
    shape = (dense.shape[0], dense.shape[1])
    allowed, bias = resolve_mask(dense, shape, device=dense.device, dtype=torch.float64, caller=_CALLER)
    assert allowed is not None
    return allowed.numpy(), None if bias is None else bias.numpy()


def _way_out(mask: Tensor) -> str:
    if mask.ndim > 2:
        return f"choose one entry of each axis in front, e.g. mask[{', '.join('0' * (mask.ndim - 2))}]"
    return "a padding mask needs an axis for the queries: mask[None, :]"


def _states(allowed: Array, block: tuple[int, int]) -> Array:
    """Return for each drawn cell whether all, some or none of its pairs may attend."""
    some, some_not = largest_of_blocks(allowed, block), largest_of_blocks(~allowed, block)
    return np.where(some_not, np.where(some, _MIXED, _HIDDEN), _ALLOWED)


def _marks(allowed: Array, block: tuple[int, int], hatch: str, theme: Theme) -> dict[str, Patch]:
    count, (rows, columns) = int(allowed.sum()), block
    marks = {f"may attend ({count} of {allowed.size} pairs)": Patch(facecolor=theme.allowed)}
    if rows * columns > 1:
        marks[f"some of {rows} × {columns} pairs may"] = Patch(facecolor=theme.mixed)
    hidden = Patch(facecolor=theme.hidden, edgecolor=theme.muted, linewidth=0, hatch=hatch)
    return marks | {f"hidden ({allowed.size - count})": hidden}


def _remarks(allowed: Array, bias: Array | None) -> dict[str, Patch]:
    """Return what the colours do not show."""
    remarks = []
    lonely = int((~allowed).all(axis=1).sum())
    if lonely:
        remarks.append(f"{lonely} of {len(allowed)} queries have no key to attend to")
    if bias is not None and bias.any():
        added = bias[allowed]
        remarks.append(f"numbers from {added.min():.3g} to {added.max():.3g} are added to the scores")
    return {remark: Patch(facecolor="none", edgecolor="none") for remark in remarks}
