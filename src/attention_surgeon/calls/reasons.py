"""Why a target was not called, in plain words: what it needs that is not there, or what it is instead."""

import inspect
import linecache
import re
from collections.abc import Callable, Sequence
from typing import Any

from attention_surgeon.calls.plan import Refusal
from attention_surgeon.packages import how_to_get

_ADVICE = "add a function example() that returns the object and its arguments: return layer, (x,)"
_NEEDS: tuple[tuple[str, Callable[[re.Match[str], str], str]], ...] = (
    (
        r"No module named '(tensorflow|keras|mxnet|paddle|mindspore)\b",
        lambda found, name: f"{name} is written for {found[1]}; I judge PyTorch, NumPy and JAX",
    ),
    (
        r"No module named '([\w.]+)'",
        lambda found, name: f"{name} needs the package {found[1]}, which is not installed here; {how_to_get(found[1])}",
    ),
    (
        r"\bCUDA\b|\bcuda\b.*\b(device|driver|tensor|available)|drivers? .*GPU|\bTriton\b.*\btensors?\b",
        lambda _, name: f"{name} runs on a GPU only, and none is used here",
    ),
    (
        r"^NameError: name '(\w+)' is not defined",
        lambda found, name: f"{name} reads the global `{found[1]}`, which its file does not define when it is loaded",
    ),
    (
        r"\bindices\b.*\bLong\b|\bindex\b.*\b(int64|integer|Long)\b",
        lambda _, name: f"{name} takes the numbers of words, so it is more than an attention; name the attention in it",
    ),
    (
        r"returns a module, (\w+)",
        lambda found, name: f"{name} makes a {found[1]} and attends to nothing itself; judge what it makes",
    ),
)


def refusal(name: str, errors: Sequence[str], attempts: int, reason: str = "") -> Refusal:
    """Return why no call of a target was found, with the other errors, and a line that helps where one can.

    Args:
        name: Of the target.
        errors: In the words of `words_of_error`, the most frequent first.
        attempts: How many calls were made.
        reason: What is known already.

    >>> refusal("Head", ["LookupError: I do not know what `c_n` should be"], 0).reason
    'I do not know what `c_n` should be'
    >>> refusal("Head", ["ValueError: CUDA tensors are required"], 7).reason
    'Head runs on a GPU only, and none is used here'
    """
    if reason or not errors:
        return Refusal(reason or f"none of {attempts} calls of {name} worked", tuple(errors), _ADVICE)
    first, *others = errors
    for pattern, words in _NEEDS:
        found = re.search(pattern, first)
        if found is not None:
            return Refusal(words(found, name))
    is_ours = first.startswith("LookupError: ")
    words = first.partition(": ")[2] if is_ours else f"none of {attempts} calls of {name} worked: {first}"
    return Refusal(words, tuple(others), _ADVICE)


def words_of_error(error: BaseException) -> str:
    """Return an error in one line; one without words says the line that raised it: `assert n % 2 == 0`."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0][:160] if said else _line_of(error)}"


def _line_of(error: BaseException) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return "" if place is None else linecache.getline(place.tb_frame.f_code.co_filename, place.tb_lineno).strip()


def made_by(target: Any) -> str:
    """Return the name of the class of modules that a function says it returns, empty for any other target."""
    if not inspect.isroutine(target):
        return ""
    from torch import nn

    try:
        found = inspect.signature(target, eval_str=True).return_annotation
    except Exception:  # noqa: BLE001  a name in an annotation may be missing
        return ""
    return found.__name__ if inspect.isclass(found) and issubclass(found, nn.Module) else ""
