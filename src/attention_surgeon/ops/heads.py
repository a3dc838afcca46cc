"""Between one wide vector per position and several narrow ones: split, merge and share heads."""

from jaxtyping import Shaped
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.require import require_count, require_tensor


def split_heads(x: Shaped[Tensor, "*_batch n width"], num_heads: int) -> Shaped[Tensor, "*_batch heads n size"]:
    """Cut the last axis into `num_heads` equal pieces and move them before the positions.

    `(*batch, n, heads * size) -> (*batch, heads, n, size)`. Head 0 gets the first `size` numbers of each position.

    Args:
        x: At least two axes.
        num_heads: A divisor of the last axis.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: `num_heads` is no positive integer or does not divide the width.

    >>> import torch
    >>> split_heads(torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]), 2).tolist()
    [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    """
    _check(x, num_heads, "split_heads", "(*batch, n, width)", 2)
    width = x.shape[-1]
    if width % num_heads:
        raise ShapeError(
            f"split_heads: x has shape {tuple(x.shape)}; its width {width} cannot be cut into {num_heads} equal heads. "
            f"Use a number of heads that divides {width}."
        )
    apart = x.unflatten(-1, (num_heads, width // num_heads))  # (..., n, heads * size) -> (..., n, heads, size)
    return apart.transpose(-3, -2)  # (..., n, heads, size) -> (..., heads, n, size)


def merge_heads(x: Shaped[Tensor, "*_batch heads n size"]) -> Shaped[Tensor, "*_batch n width"]:
    """Undo `split_heads`: `(*batch, heads, n, size) -> (*batch, n, heads * size)`.

    Raises:
        ArgumentTypeError, ShapeError: `x` is no tensor with at least three axes.

    >>> import torch
    >>> x = torch.arange(8).reshape(2, 4)
    >>> torch.equal(merge_heads(split_heads(x, 2)), x)
    True
    """
    _check(x, 1, "merge_heads", "(*batch, heads, n, size)", 3)
    return x.transpose(-3, -2).flatten(-2)  # (..., heads, n, size) -> (..., n, heads * size)


def share_heads(x: Shaped[Tensor, "*_batch kv_heads n size"], num_heads: int) -> Shaped[Tensor, "*_batch heads n size"]:
    """Hand each key/value head to a group of neighbouring query heads (Ainslie et al. 2023, grouped queries).

    `(*batch, kv_heads, n, size) -> (*batch, num_heads, n, size)`; with 2 shared heads for 6 the order is 0 0 0 1 1 1
    (repeat-interleave), not 0 1 0 1 0 1 (tile).

    Raises:
        ArgumentTypeError, OptionError, ShapeError: `num_heads` is no multiple of the heads there are.

    >>> import torch
    >>> share_heads(torch.tensor([[[1]], [[2]]]), 4).flatten().tolist()
    [1, 1, 2, 2]
    """
    _check(x, num_heads, "share_heads", "(*batch, kv_heads, n, size)", 3)
    shared = x.shape[-3]
    if shared == 0 or num_heads % shared:
        raise ShapeError(
            f"share_heads: x has shape {tuple(x.shape)}, {shared} heads to share, which do not divide among "
            f"{num_heads} query heads. Use a multiple of {max(shared, 1)}."
        )
    groups = x.unsqueeze(-3).expand(*x.shape[:-2], num_heads // shared, *x.shape[-2:])
    return groups.flatten(-4, -3)  # (..., kv_heads, group, n, size) -> (..., heads, n, size)


def _check(x: Tensor, num_heads: int, caller: str, axes: str, num_axes: int) -> None:
    require_tensor(x, "x", caller)
    if x.ndim < num_axes:
        raise ShapeError(f"{caller}: x has shape {tuple(x.shape)}, expected {axes}.")
    require_count(num_heads, "num_heads", caller)
