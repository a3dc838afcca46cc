"""From a class to a layer: what its constructor is given, read from the names of its parameters."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.words import SIZES, size_of

DROPOUT = 0.25
"""What a layer is built with; large enough to be seen in training."""

LONGEST = 32
"""Of the sequences that a layer with a longest length is built for."""


@dataclass(frozen=True)
class LayerSizes:
    """The sizes of a layer under judgement.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads.
        head: Width of one head.
        n_q: Positions that ask.
        n_k: Positions that answer, where they are others.
        batch: Sequences.
    """

    heads: int
    kv_heads: int
    head: int
    n_q: int
    n_k: int
    batch: int

    @property
    def embed(self) -> int:
        """Width of the layer."""
        return self.heads * self.head


def build_layer(target: Any, sizes: LayerSizes) -> Any:
    """Return a layer in evaluation mode: the object itself, or one made from the class.

    Raises:
        UnjudgedError: the constructor needs what is not known, or fails.
    """
    if not inspect.isclass(target):
        return target
    values = _values(sizes)
    positional, named = _arguments(target, values)
    try:
        with torch.random.fork_rng(devices=[]):
            built = target(*positional, **named)
    except Exception as error:
        text = ", ".join([*(str(x) for x in positional), *(f"{name}={value}" for name, value in named.items())])
        raise UnjudgedError(
            f"{target.__name__}({text}) raises {type(error).__name__}: {error}; "
            f"judge an object of it: FILE.py:NAME may name one."
        ) from error
    if isinstance(built, torch.nn.Module):
        built.eval()
    return built


def _values(sizes: LayerSizes) -> dict[str, int]:
    return {
        "embed": sizes.embed,
        "heads": sizes.heads,
        "kv_heads": sizes.kv_heads,
        "head": sizes.head,
        "context": sizes.embed,
        "length": LONGEST,
    }


def _arguments(target: Callable[..., Any], values: dict[str, int]) -> tuple[list[Any], dict[str, Any]]:
    """Return what the constructor is given, by position where there is no other way, and by name."""
    in_order = [values["embed"], values["heads"], values["kv_heads"]]
    parameters = [p for p in inspect.signature(target).parameters.values() if p.kind not in _VARIADIC]
    named: dict[str, Any] = {}
    for parameter in parameters:
        value = _value_of(parameter, values)
        if value is None and parameter.default is parameter.empty:
            value = in_order[min(len(named), len(in_order) - 1)]
        if value is not None:
            named[parameter.name] = value
    positional = [named.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in named]
    return positional, named


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _value_of(parameter: inspect.Parameter, values: dict[str, int]) -> Any:
    """Return what a parameter asks for by its name and its default; None where it does not say, or is best left."""
    name, default, is_needed = parameter.name.lower(), parameter.default, parameter.default is parameter.empty
    size = size_of(name)
    if name in ("config", "cfg", "args", "conf", "hparams"):
        return _config(values)
    if size is not None:
        is_given = is_needed or size == "kv_heads" or isinstance(default, int)
        return values[size] if is_given or (size in ("embed", "heads") and default is not None) else None
    if "drop" in name:
        return DROPOUT
    is_switch = is_needed or isinstance(default, bool)
    is_bias = "bias" in name and not name.startswith("add_")  # add_bias_kv adds a key, which is another layer
    return True if name == "batch_first" or (is_bias and is_switch) else None


def _config(values: dict[str, int]) -> SimpleNamespace:
    """Return a configuration object that answers to every usual name."""
    config = {name: values[size] for size, names in SIZES.items() for name in names}
    drops = dict.fromkeys(
        ("dropout", "attn_pdrop", "resid_pdrop", "attention_dropout", "attention_probs_dropout_prob", "drop_rate",
         "attn_dropout", "resid_dropout", "hidden_dropout_prob"),
        DROPOUT,
    )  # fmt: skip
    return SimpleNamespace(**config, **drops, bias=True, qkv_bias=True, attention_bias=True, flash=False, causal=True)
