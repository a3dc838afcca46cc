"""Which contracts a target may be meant for, told by what kind of thing it is and what it takes."""

import inspect
from typing import Any

import numpy as np
from torch import Tensor, nn

from attention_surgeon.testing.layer_call import is_context
from attention_surgeon.testing.words import role_of, size_of, words

_COUNTS = (
    "n",
    "size",
    "t",
    "s",
    "l",
    "len",
    "length",
    "seq_len",
    "seq_length",
    "num_tokens",
    "max_len",
    "block_size",
    "n_q",
    "T",
)
_LENGTHS = ("length", "lengths", "lens", "seq_lens", "tokens", "ids", "input_ids", "pad", "x_len")


def usual_contracts(target: Any) -> tuple[str, ...]:
    """Return the names of the contracts that a target may be meant for, the likeliest first.

    >>> usual_contracts(lambda query, key, value, mask=None: None)
    ('attention',)
    >>> usual_contracts(lambda x, dim=-1: None)
    ('softmax',)
    """
    if inspect.isclass(target):
        return _of_class(target)
    if _has_weights(target):
        return _of_layer(getattr(target, "forward", target), {name.lower() for name in vars(target)})
    return _of_function(target)


def _of_class(target: type) -> tuple[str, ...]:
    """A class is a layer if its constructor is given a width; one without a width has no projections."""
    try:
        names = {name.lower() for name in inspect.signature(target).parameters}
    except (TypeError, ValueError):
        names = set()
    is_layer = any(size_of(name) in ("embed", "heads", "head") or name in ("config", "cfg") for name in names)
    function = getattr(target, "forward", vars(target).get("__call__"))
    if function is None:
        return ("attention",)
    if not is_layer:
        return _of_function(function, skip_self=True)
    found = _of_layer(function, names, skip_self=True)
    return found if _needs_three(function) else (*found, "attention")


def _of_layer(function: Any, names: set[str], *, skip_self: bool = False) -> tuple[str, ...]:
    sizes = {size_of(name) for name in names}
    parameters = _parameters(function, skip_self)
    needed = [p.name for p in parameters if p.default is p.empty and "mask" not in p.name.lower()]
    has_context = len(needed) == 2 or any(is_context(p.name) for p in parameters[1:])
    has_mask = any("mask" in p.name.lower() for p in parameters)
    if {"batch_first", "add_bias_kv"} <= names:
        return ("torch_mha",)
    if "kv_heads" in sizes:
        return ("grouped",)
    if has_context and len(needed) < 3:
        return ("cross",)
    if "heads" in sizes or names & {"config", "cfg"}:
        return ("multihead", "multiquery") if has_mask else ("multihead", "causal_multihead", "multiquery")
    return ("self",)


def _of_function(function: Any, *, skip_self: bool = False) -> tuple[str, ...]:
    parameters = _parameters(function, skip_self)
    if not parameters:
        return ("attention",)
    if parameters[0].name == "module":
        return ("transformers",)
    needed = [p.name.lower() for p in parameters if p.default is p.empty]
    if len(needed) >= 3 or [role_of(p.name) for p in parameters[:3]] == ["query", "key", "value"]:
        has_more = any("mask" in p.name.lower() for p in parameters) or len(parameters) > 3
        return ("attention",) if has_more else ("attention", "causal_attention")
    if any(word in _LENGTHS for name in needed for word in (name, *words(name))):
        return ("padding_mask",)
    if needed and (needed[0] in _COUNTS or parameters[0].annotation in (int, "int")):
        return ("causal_mask", "reverse_mask")
    if len(parameters) > 1 and parameters[1].name in ("dim", "axis"):
        return ("softmax",)
    return ("softmax", "statistics", "causal_mask", "reverse_mask")


def _parameters(function: Any, skip_self: bool) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # built in: no signature to read
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in found[1 if skip_self else 0 :] if p.kind not in variadic]


def _needs_three(function: Any) -> bool:
    """Whether a forward takes query, key and value, each with a default or not."""
    return len(_parameters(function, skip_self=True)) < 3


def _has_weights(target: Any) -> bool:
    if isinstance(target, nn.Module):
        return any(p.ndim == 2 for p in target.parameters())
    held = vars(target).values() if hasattr(target, "__dict__") and not inspect.isroutine(target) else ()
    return any(isinstance(x, np.ndarray | Tensor) and x.ndim == 2 for x in held)
