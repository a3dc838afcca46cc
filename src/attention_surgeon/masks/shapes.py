"""Which mask shapes `(*batch, n_q, n_k)` go together: batch axes broadcast, n_k must agree, n_q too unless it is free.

The queries of a mask are free when its single row speaks for every query, however many there are.
"""

import reprlib

from attention_surgeon.errors import ArgumentTypeError, ShapeError
from attention_surgeon.require import broadcast_shape


def joint_shape(
    left: tuple[int, ...], right: tuple[int, ...], left_is_free: bool, right_is_free: bool, symbol: str
) -> tuple[int, ...]:
    """Return the shape of `left & right` or `left | right`.

    Raises:
        ShapeError: names both shapes and the axis that does not fit.
    """
    given = f"mask {symbol} mask: the shapes are {left} and {right} (*batch, n_q, n_k)"
    if left[-1] != right[-1]:
        raise ShapeError(f"{given}; the last axis, n_k, must be the same, not {left[-1]} and {right[-1]}.")
    if left[-2] != right[-2] and not (left_is_free or right_is_free):
        raise ShapeError(
            f"{given}; the next-to-last axis, n_q, must be the same, not {left[-2]} and {right[-2]}; "
            f"only a padding mask or a tensor of one row stands for any number of queries."
        )
    batch = broadcast_shape(left[:-2], right[:-2])
    if batch is None:
        raise ShapeError(
            f"{given}; the axes before the last two must be the same or broadcast; "
            f"with_heads() inserts an axis for the heads."
        )
    return (*batch, right[-2] if left_is_free else left[-2], left[-1])


def check_broadcast(shape: tuple[int, ...], is_free: bool, target: tuple[int, ...]) -> tuple[int, ...]:
    """Return `target` as a plain tuple if a mask of `shape` can be broadcast to it.

    Raises:
        ArgumentTypeError, ShapeError: no tuple of sizes, or one that does not fit.
    """
    if not isinstance(target, tuple) or not all(isinstance(size, int) and size >= 0 for size in target):
        raise ArgumentTypeError(
            f"broadcast_to: shape is {reprlib.repr(target)}, expected a tuple of sizes (*batch, n_q, n_k)."
        )
    target = tuple(target)  # a torch.Size becomes the plain tuple that every mask has
    positions = (target[-2] if is_free and len(target) > 1 else shape[-2], shape[-1])
    if target[-2:] != positions or broadcast_shape(shape[:-2], target[:-2]) != target[:-2]:
        raise ShapeError(
            f"broadcast_to: a mask of shape {shape} cannot be broadcast to {target}; n_q and n_k must agree, the axes "
            f"before them are compared from the right, and with_heads() inserts one for the heads."
        )
    return target
