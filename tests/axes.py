"""What the hook of jaxtyping puts around a function, where no axes are named: beartype alone.

To know the axes, jaxtyping binds the arguments of a call, checks them, and checks them again with what comes back.
Where a signature names none, beartype checks the same, many times as fast.
"""

import dataclasses
import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import jaxtyping
from beartype import beartype

_with_axes = jaxtyping.jaxtyped


def check_by_signature() -> None:
    """Let the hook of jaxtyping, wherever it is at work, leave what names no axes to beartype."""
    jaxtyping.jaxtyped = _jaxtyped


def _jaxtyped(function: Any = None, *, typechecker: Any) -> Any:
    if function is None:
        return functools.partial(_jaxtyped, typechecker=typechecker)
    if isinstance(function, type):
        init = vars(function).get("__init__")
        if dataclasses.is_dataclass(function) and init and _is_plain(init):
            function.__init__ = _without_axes(init)
            return function
        return _with_axes(function, typechecker=typechecker) if init else function  # what is inherited has its check
    return _without_axes(function) if _is_plain(function) else _with_axes(function, typechecker=typechecker)


def _is_plain(function: Any) -> bool:
    """Whether this is a function that is defined once and has no axes, nor words to be read, in its signature."""
    if not isinstance(function, FunctionType) or "<locals>" in function.__qualname__:
        return False
    hints = function.__annotations__.values()
    return not any("[" in hint if isinstance(hint, str) else "jaxtyping." in repr(hint) for hint in hints)


def _without_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    checked = beartype(function)

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **options)

    return called
