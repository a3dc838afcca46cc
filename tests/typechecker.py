"""The type checker of the tests: beartype, which makes the check of a signature once.

A function within a function is defined anew at each call of the outer one; beartype would write and compile its check
anew each time, which took nine tenths of the time of the judge's tests.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from beartype import beartype

_made: dict[tuple[object, ...], Callable[..., Any]] = {}


def beartype_once(function: FunctionType) -> Callable[..., Any]:
    """Return the function with its check; `function` is what jaxtyping made of a signature, and has no body."""
    key = (function.__qualname__, function.__code__, *function.__annotations__.items())
    if key not in _made:
        _made[key] = beartype(function)
    return _made[key]
