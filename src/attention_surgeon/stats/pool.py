"""From weights that are written out to a `PooledMap`."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.masks.blocks import WHOLE, block_range
from attention_surgeon.require import require_count, require_floating
from attention_surgeon.stats.maps import Edges, PooledMap, cell_edges

RESOLUTION = 512
"""At most so many cells along each side, where nothing else is said."""


def pool_weights(
    weights: Float[Tensor, "*batch q k"], *, resolution: int = RESOLUTION, rows: slice = WHOLE, columns: slice = WHOLE
) -> PooledMap:
    """Return the largest and the mean weight of each cell of a grid.

    Args:
        weights: `(*leading, n_q, n_k)`, floating.
        resolution: At most so many cells along each side. Cells have one size, the smallest that does; those at the
            end may be smaller. With a resolution of n_q or more every weight is a cell.
        rows: The queries to show, as one would slice a tensor (without a step).
        columns: The keys to show.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: as their texts say.

    >>> import torch
    >>> pool_weights(torch.eye(6), resolution=2, rows=slice(2, 6)).mean
    tensor([[0.1667, 0.1667],
            [0.0000, 0.3333]])
    """
    require_floating(weights, "weights", "pool_weights")
    require_count(resolution, "resolution", "pool_weights")
    n_q, n_k = _sizes(weights)
    down, across = window_edges(n_q, n_k, resolution, rows, columns, "pool_weights")
    window = weights.detach()[..., down[0] : down[-1], across[0] : across[-1]].cpu()
    largest, mass = _pooled(window, down, across, torch.amax), _pooled(window.double(), down, across, torch.sum)
    areas = torch.tensor(down).diff()[:, None] * torch.tensor(across).diff()
    return PooledMap(largest.float(), (mass / areas).float(), down, across, n_q, n_k)


def window_edges(n_q: int, n_k: int, resolution: int, rows: slice, columns: slice, caller: str) -> tuple[Edges, Edges]:
    """Return the edges of the cells that cut a window of `(n_q, n_k)` weights into at most `resolution` each way.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: no slice, a step, past the end, or nothing in it.
    """
    found = []
    for wanted, size, axis in ((rows, n_q, "rows"), (columns, n_k, "columns")):
        is_past = isinstance(wanted, slice) and isinstance(wanted.start, int) and wanted.start >= size
        if is_past or not (positions := block_range(wanted, size, axis, caller)):
            raise ShapeError(f"{caller}: {axis} is {wanted!r}, which holds none of the {size} positions.")
        found.append(cell_edges(positions, resolution))
    return found[0], found[1]


def _pooled(window: Tensor, rows: Edges, columns: Edges, how: Callable[[Tensor, int], Tensor]) -> Tensor:
    across = by_cells(window.contiguous(), columns[1] - columns[0], how)
    return by_cells(across.mT.contiguous(), rows[1] - rows[0], how).mT


def by_cells(tensor: Tensor, cell_len: int, how: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Reduce each `cell_len` numbers along the last axis to one; the last of them may be fewer."""
    *leading, length = tensor.shape
    count, rest = divmod(length, cell_len)
    if not rest:
        return how(tensor.view(*leading, count, cell_len), -1)
    parts = [how(tensor[..., : count * cell_len].unflatten(-1, (count, cell_len)), -1)] if count else []
    return torch.cat([*parts, how(tensor[..., count * cell_len :], -1)[..., None]], -1)


def _sizes(weights: Tensor) -> tuple[int, int]:
    if weights.ndim < 2 or not weights.numel():
        raise ShapeError(
            f"pool_weights: weights has shape {tuple(weights.shape)}, expected (*leading, n_q, n_k), none of them 0."
        )
    return weights.shape[-2], weights.shape[-1]
