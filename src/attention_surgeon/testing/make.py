"""From a target to a function: a class is built, once for every key size that it is asked about."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from attention_surgeon.errors import UnjudgedError

_KEY_SIZE = (
    "d_k",
    "dk",
    "dim",
    "head_dim",
    "head_size",
    "key_dim",
    "d_model",
    "embed_dim",
    "size",
    "d_head",
    "dim_head",
)


def make_function(target: Any) -> Callable[[int], Callable[..., Any]]:
    """Return `key_size -> function` for a function, a callable object or a class of callable objects.

    Raises:
        UnjudgedError: it cannot be called, or its constructor needs what the contract does not know.
    """
    if not callable(target):
        raise UnjudgedError(
            f"it is a {type(target).__name__}, expected a function or a class whose objects are callable."
        )
    if not inspect.isclass(target):
        _to_evaluation(target)
        return lambda key_size: target
    if "__call__" not in dir(target) or not any("__call__" in vars(base) for base in target.__mro__[:-1]):
        raise UnjudgedError(f"objects of the class {target.__name__} cannot be called.")
    return functools.lru_cache(maxsize=32)(lambda key_size: _build(target, key_size))


def _build(target: type, key_size: int) -> Callable[..., Any]:
    given: dict[str, Any] = {}
    for parameter in inspect.signature(target).parameters.values():
        name = parameter.name.lower()
        if "drop" in name or name == "p":
            given[parameter.name] = 0.0
        elif "temperature" in name:
            given[parameter.name] = math.sqrt(key_size)
        elif name in _KEY_SIZE:
            given[parameter.name] = key_size
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            raise UnjudgedError(
                f"{target.__name__} needs {parameter.name!r} when it is made, which the contract does not know; "
                f"judge an object of it, or a function that makes one."
            )
    built = target(**given)
    _to_evaluation(built)
    return built


def _to_evaluation(target: Any) -> None:
    if isinstance(target, torch.nn.Module):
        target.eval()
