"""Filling the tables that a diagnosis looks things up in, before somebody waits for it."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor import kind_under, target_with
from attention_surgeon.errors import OptionError

_ODD = 1.2345


def prepare(contract: str, options: Mapping[str, Any]) -> None:
    """Work out what every known mistake under a contract would answer.

    A target that answers like none of them makes the diagnosis go through all its tables.
    """
    try:
        kind = kind_under(contract, options)
    except OptionError:
        return  # a contract without known mistakes has no tables
    for target in (target_with(kind), _odd(target_with(kind))):
        diagnose(target, contract, **kind.options)


def _odd(target: Any) -> Any:
    """Return a target whose answers are those of no known mistake."""
    if inspect.isclass(target):
        usual: Any = target
        forward = functools.wraps(usual.forward)(lambda *args, **kwargs: _changed(usual.forward(*args, **kwargs)))
        return type("Odd", (target,), {"forward": forward, "__init__": usual.__init__})
    return functools.wraps(target)(lambda *args, **kwargs: _changed(target(*args, **kwargs)))


def _changed(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_changed(each) for each in value)
    if isinstance(value, dict):
        return {key: _changed(each) for key, each in value.items()}
    return value * _ODD if hasattr(value, "dtype") and "float" in str(value.dtype) else value
