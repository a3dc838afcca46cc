"""What the drop-ins raise: our errors, each also an error of the class that PyTorch raises in that place.

PyTorch answers a wrong call with AssertionError in one line and RuntimeError in the next. Code that was written
for it, and says `except RuntimeError`, keeps working with the drop-ins, and so does `except SurgeonError`.

    >>> issubclass(ShapeError, errors.ShapeError), issubclass(ShapeError, AssertionError | RuntimeError)
    (True, True)
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, final

from attention_surgeon import errors

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


@final
class ShapeError(errors.ShapeError, AssertionError, RuntimeError):
    """`errors.ShapeError`, raised by a drop-in."""


@final
class ArgumentTypeError(errors.ArgumentTypeError, AssertionError, RuntimeError):
    """`errors.ArgumentTypeError`, raised by a drop-in."""


@final
class DTypeError(errors.DTypeError, AssertionError, RuntimeError):
    """`errors.DTypeError`, raised by a drop-in."""


@final
class DeviceError(errors.DeviceError, AssertionError, RuntimeError):
    """`errors.DeviceError`, raised by a drop-in."""


@final
class MaskError(errors.MaskError, AssertionError, RuntimeError):
    """`errors.MaskError`, raised by a drop-in."""


@final
class OptionError(errors.OptionError, AssertionError, RuntimeError):
    """`errors.OptionError`, raised by a drop-in."""


@final
class PaddingError(errors.ShapeError, AssertionError):
    """A padding mask of another shape: PyTorch raises AssertionError, and its tests ask that it is no RuntimeError."""


_ALSO_TORCHS: dict[type[errors.SurgeonError], type[errors.SurgeonError]] = {
    kind.__bases__[0]: kind for kind in (ShapeError, ArgumentTypeError, DTypeError, DeviceError, MaskError, OptionError)
}


def errors_as_torch(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Give every error of ours that leaves the function PyTorch's class as well.

    >>> @errors_as_torch
    ... def example():
    ...     raise errors.ShapeError("3 is not 2")
    >>> example()
    Traceback (most recent call last):
    attention_surgeon.nn.torch_errors.ShapeError: 3 is not 2
    """

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except errors.SurgeonError as error:
            raise _ALSO_TORCHS.get(type(error), type(error))(*error.args) from None

    return wrapped
