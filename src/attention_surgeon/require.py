"""The checks that every door shares: is it a tensor, a switch, a count, and do the shapes fit."""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError


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
    message = f"{caller}: {name} is {reprlib.repr(value)}, expected a whole number of at least {least}{why}."
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(message)
    if value < least:
        raise OptionError(message)


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...] | None:
    """Return the shape to which all of `shapes` broadcast, None if they do not fit.

    `torch.broadcast_shapes` says the same, but loads sympy for it, which takes half a second.

    >>> broadcast_shape((2, 1), (3,)), broadcast_shape((2,), (3,))
    ((2, 3), None)
    """
    try:
        return np.broadcast_shapes(*(tuple(shape) for shape in shapes))
    except ValueError:
        return None
