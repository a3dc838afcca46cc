"""Calling what somebody wrote: an error in it is told with its line, and so is a `return` that is missing."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from attention_surgeon.course.exercises.explained import CrashError, ExplainedError, not_written_yet
from attention_surgeon.diagnose.crash import crash_in_call, crash_of, last_line_of
from attention_surgeon.testing.answer import quietly, raised


def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call somebody's function and return what it returns.

    Raises:
        CrashError: it stops with an error; the line is told.
        ExplainedError: it is not written yet.
    """
    __tracebackhide__ = True
    if not callable(function):
        names = [name for name, value in vars(type(function)).items() if inspect.isfunction(value)]
        if names:
            others = ", ".join(f"`{name}`" for name in names if not name.startswith("__"))
            raise ExplainedError(
                "call_missing",
                f"An object of `{type(function).__name__}` cannot be called: it has no method `__call__`"
                f"{f'; it has {others}' if others else ''}.",
                question="Which method runs when you write `layer(x)`?",
                pointer="Keep the names of the methods as they were given.", fix="def __call__(self, x):",
            )  # fmt: skip
        raise ExplainedError(None, f"It is a {type(function).__name__}, expected a function.")
    try:
        with quietly(), torch.enable_grad():  # an experiment may want gradients
            return function(*arguments, **named)
    except NotImplementedError as error:
        if "write this part" not in str(error):
            raise _stopped(error, function, arguments, named) from None
        raise not_written_yet(error) from None
    except (CrashError, ExplainedError):
        raise
    except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
        raise _stopped(error, function, arguments, named) from None


def _stopped(error: Exception, function: Any, arguments: Any, named: Any) -> CrashError | ExplainedError:
    call = call_in_words(function, arguments, named)
    crash = crash_of(error, call) or crash_in_call(error, function, call)
    if crash is not None:
        return CrashError(crash)
    return ExplainedError(
        "raises", f"In the call {call} it raises {raised(error).error}.",
        question="Which line is it, and what are the shapes there?",
        pointer="Read the last lines of the error; print the shapes just before.", fix="print(x.shape)",
    )  # fmt: skip


def call_in_words(function: Any, arguments: Any, named: Any) -> str:
    """Return a call as a person writes it down, arrays by their shapes.

    >>> call_in_words(max, (torch.zeros(2, 3), 1), {"key": None})
    'max(numbers of shape (2, 3), 1, key=None)'
    """
    name = "forward" if isinstance(function, torch.nn.Module) else getattr(function, "__name__", "")
    name = name if name.isidentifier() else "it"
    given = [*map(shown, arguments), *(f"{key}={shown(value)}" for key, value in named.items())]
    return f"{name}({', '.join(given)})"


def shown(value: Any) -> str:
    """Return a value as a sentence can hold it: short lists and texts as they are, arrays by their shape.

    >>> shown((torch.zeros(2, 3), torch.zeros(2, 5)))
    '(numbers of shape (2, 3), numbers of shape (2, 5))'
    """
    shape = tuple(getattr(value, "shape", ()))
    if shape:
        return f"numbers of shape {shape}"
    if isinstance(value, float | torch.Tensor | np.number):
        return f"{float(value):.4g}"
    if isinstance(value, tuple) and any(hasattr(each, "shape") for each in value):
        return f"({', '.join(map(shown, value))})"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__).strip("_")
    text = repr(value)
    return text if len(text) < 80 else f"{text[:76]} ..."


def returns_nothing(function: Any) -> ExplainedError:
    """Return what is said to a function without a `return`, with the line where it belongs."""
    written = getattr(function, "forward", function)
    where = last_line_of(written if inspect.isroutine(written) else type(function).__call__)
    is_printed = where is not None and where.text.startswith("print(")
    return ExplainedError(
        "returns_nothing",
        "It returns nothing: it prints what it should return." if is_printed else "It returns nothing.",
        question="What does the caller get from your last line?",
        pointer="`print` only shows a value; `return` hands it on." if is_printed
        else "Look for a `return`: a function without one gives None.",
        fix="return ...", location=where,
    )  # fmt: skip
