"""Cache objects of the target's own file: classes that keep keys and values, made at the sizes of a plan."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from attention_surgeon.calls.definitions import others_of_file
from attention_surgeon.calls.names import size_of
from attention_surgeon.witness.flow import Plan

_KEEPS = ("update", "append", "write", "put", "extend")


def cache_makers(plan: Plan, length: int) -> Iterator[Callable[[], Any]]:
    """Yield ways to make an empty cache that holds `length` tokens, one for each class of the file that keeps some."""
    for kind in dict.fromkeys(cache_kinds(plan.target).values()):
        given = _sizes_for(kind, plan, length)
        if given is not None:
            yield lambda kind=kind, given=given: kind(**given)


def cache_kinds(target: Any) -> dict[str, type]:
    """Return the classes of the target's file that keep keys and values, by name."""
    return {
        name: kind
        for name, kind in others_of_file(target, "cache").items()
        if inspect.isclass(kind) and any(hasattr(kind, one) for one in _KEEPS)
    }


def empty_place(made: Any) -> str | None:
    """Return the attribute of a layer in which a cache belongs: one that is None and called so."""
    if not isinstance(made, nn.Module):
        return None
    return next((name for name, value in vars(made).items() if value is None and "cache" in name.lower()), None)


def _sizes_for(kind: type, plan: Plan, length: int) -> dict[str, Any] | None:
    """Return the sizes that a cache is made with, by the names of its parameters; None where one says nothing."""
    sizes, given = plan.sizes, {}
    known = {
        "batch": sizes.batch,
        "length": length,
        "heads": sizes.kv_heads or sizes.heads or 1,
        "kv_heads": sizes.kv_heads or sizes.heads or 1,
        "head_size": sizes.head_size,
        "key_size": sizes.head_size,
        "value_size": sizes.value_size,
        "width": sizes.width,
    }
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        role = "window" if "window" in name else "batch" if re.search("batch|bsz", name) else size_of(name)
        value = _window(plan) if role == "window" else known.get(role)
        if value is not None and "dtype" not in name and "device" not in name:
            given[name] = value
        elif parameter.default is parameter.empty:
            return None
    return given


def _window(plan: Plan) -> int | None:
    found = [value for name, value in plan.constructor.items() if "window" in name and isinstance(value, int)]
    return found[0] if found else None
