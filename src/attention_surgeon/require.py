"""The checks that every door shares: is it a tensor, a switch, a count, and do the shapes fit."""

import reprlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from attention_surgeon.errors import (
    ArgumentTypeError,
    ConversionError,
    DeviceError,
    DTypeError,
    OptionError,
    ShapeError,
)


def kind_of(value: Any) -> str:
    """Return how a message names what was given: `None`, or `a` and the type.

    >>> kind_of(None), kind_of([1])
    ('None', 'a list')
    """
    return "None" if value is None else f"a {type(value).__name__}"


def require_tensor(value: Any, name: str, caller: str, expected: str = "a torch.Tensor") -> None:
    """Refuse anything but a `torch.Tensor`; `expected` says what else the caller would have taken.

    Raises:
        ArgumentTypeError: with the way to make a tensor of it.
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"{caller}: {name} is {kind_of(value)}, expected {expected}; arrays and lists become one with "
            f"torch.as_tensor(...)."
        )


def require_floating(value: Any, name: str, caller: str) -> None:
    """Refuse anything but a floating `torch.Tensor`.

    Raises:
        ArgumentTypeError, DTypeError: with the way out.
    """
    require_tensor(value, name, caller)
    if not value.is_floating_point():
        raise DTypeError(
            f"{caller}: {name} has dtype {value.dtype}, expected a floating dtype; {name}.float() makes one."
        )


def require_switch(value: Any, name: str, caller: str, otherwise: str = "") -> None:
    """Refuse anything but True and False.

    Raises:
        ArgumentTypeError: `otherwise` ends its message.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{caller}: {name} is {value!r}, expected True or False.{otherwise}")


def require_count(value: Any, name: str, caller: str, least: int = 1, why: str = "") -> None:
    """Refuse anything but a whole number of at least `least`; `why` says why so many.

    Raises:
        ArgumentTypeError, OptionError: not a whole number; too small.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and value >= least:
        return
    message = f"{caller}: {name} is {reprlib.repr(value)}, expected a whole number of at least {least}{why}."
    raise OptionError(message) if is_whole else ArgumentTypeError(message)


def require_probability(value: float, name: str, caller: str) -> None:
    """Refuse what is no probability.

    Raises:
        ArgumentTypeError, OptionError: no number; outside [0, 1].
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):  # a union is more than torch 2.9 can compile
        raise ArgumentTypeError(f"{caller}: {name} is {value!r}, expected a number from 0 to 1.")
    if not 0 <= value <= 1:
        raise OptionError(f"{caller}: {name} is {value}, expected a probability from 0 to 1.")


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...] | None:
    """Return the shape to which all of `shapes` broadcast, None if they do not fit.

    `torch.broadcast_shapes` says the same, but loads sympy for it, which takes half a second.

    >>> broadcast_shape((2, 1), (3,)), broadcast_shape((2,), (3,))
    ((2, 3), None)
    """
    first = tuple(shapes[0])
    if all(tuple(shape) == first for shape in shapes):
        return first  # nearly always; the rest takes ten times as long
    try:
        return np.broadcast_shapes(*(tuple(shape) for shape in shapes))
    except ValueError:
        return None


def refuse_torchscript(caller: str) -> Callable[[], NoReturn]:
    """Return what `torch.jit.script` calls in place of compiling something (its `__prepare_scriptable__`), and refuses.

    >>> refuse_torchscript("example")()
    Traceback (most recent call last):
    attention_surgeon.errors.ConversionError: example: TorchScript knows none of the objects that this is made of; \
use torch.compile or torch.export.
    """

    def refuse() -> NoReturn:
        raise ConversionError(
            f"{caller}: TorchScript knows none of the objects that this is made of; use torch.compile or torch.export."
        )

    return refuse


def require_operands(
    Q: Tensor, K: Tensor, V: Tensor, caller: str, otherwise: str = "shared heads are repeated with share_heads(...)"
) -> tuple[int, ...]:
    """Refuse query, key and value that do not go together, and return their joint batch shape.

    Args:
        Q: Query `(*batch, n_q, d_k)`.
        K: Key `(*batch, n_k, d_k)`.
        V: Value `(*batch, n_k, d_v)`.
        caller: Name that starts every message.
        otherwise: What the message about batch axes offers for heads that are shared.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError: each names what was given and the way out.

    >>> import torch
    >>> require_operands(torch.ones(2, 1, 5, 3), torch.ones(7, 11, 3), torch.ones(11, 4), "example")
    (2, 7)
    """
    _require_alike(Q, K, V, caller)
    _require_axes(Q, K, V, caller)
    batch = broadcast_shape(Q.shape[:-2], K.shape[:-2], V.shape[:-2])
    if batch is None:
        raise ShapeError(
            f"{caller}: Q has shape {tuple(Q.shape)}, K {tuple(K.shape)} and V {tuple(V.shape)}: "
            f"the axes before the last two (batch, heads) must be the same or broadcast; {otherwise}."
        )
    return batch


def _require_alike(Q: Tensor, K: Tensor, V: Tensor, caller: str) -> None:
    for name, tensor in (("Q", Q), ("K", K), ("V", V)):
        require_floating(tensor, name, caller)
    for name, tensor in (("K", K), ("V", V)):
        if tensor.dtype != Q.dtype:
            raise DTypeError(
                f"{caller}: Q is {Q.dtype} and {name} is {tensor.dtype}; they must agree, use {name}.to(Q.dtype)."
            )
        if tensor.device != Q.device:
            raise DeviceError(
                f"{caller}: Q is on {Q.device} and {name} on {tensor.device}; move it with {name}.to(Q.device)."
            )


def _require_axes(Q: Tensor, K: Tensor, V: Tensor, caller: str) -> None:
    for name, tensor, axes in (("Q", Q, "n_q, d_k"), ("K", K, "n_k, d_k"), ("V", V, "n_k, d_v")):
        if tensor.ndim < 2:
            raise ShapeError(
                f"{caller}: {name} has shape {tuple(tensor.shape)}, expected (*batch, {axes}); "
                f"one vector needs a position axis: {name}[None, :]."
            )
    if Q.shape[-1] != K.shape[-1]:
        hint = " K looks transposed: pass K.transpose(-2, -1)." if Q.shape[-1] == K.shape[-2] else ""
        raise ShapeError(
            f"{caller}: Q has shape {tuple(Q.shape)} and K {tuple(K.shape)}: the last axis, d_k, must be the same, "
            f"not {Q.shape[-1]} and {K.shape[-1]}.{hint}"
        )
    if K.shape[-2] != V.shape[-2]:
        raise ShapeError(
            f"{caller}: K has shape {tuple(K.shape)} and V {tuple(V.shape)}: each key needs one value, so the "
            f"next-to-last axis, n_k, must be the same, not {K.shape[-2]} and {V.shape[-2]}."
        )
    if Q.shape[-1] == 0:
        raise ShapeError(f"{caller}: Q has shape {tuple(Q.shape)}: d_k is 0, so there is nothing to compare.")


def require_mask_shape(mask_shape: Sequence[int], scores_shape: Sequence[int], caller: str) -> None:
    """Refuse a mask that does not broadcast to the scores `(*batch, n_q, n_k)`.

    Raises:
        ShapeError: names both shapes, and what is missing where it looks like a padding mask.
    """
    if broadcast_shape(mask_shape, scores_shape) == tuple(scores_shape):
        return
    padding = (
        len(mask_shape) == 2 and len(scores_shape) > 2 and tuple(mask_shape) == (scores_shape[0], scores_shape[-1])
    )
    axes = "None, :" if len(scores_shape) == 3 else "None, None, :"
    hint = f" A padding mask (batch, n_k) needs a query axis: mask[:, {axes}]." if padding else ""
    raise ShapeError(
        f"{caller}: mask has shape {tuple(mask_shape)} but the scores have shape {tuple(scores_shape)} "
        f"(*batch, n_q, n_k); the mask must broadcast to them.{hint}"
    )
