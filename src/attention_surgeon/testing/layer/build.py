"""From a class to a layer: what its constructor is given, read from the names of its parameters."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.words import SIZES, role_of, size_of, words

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
    dropout = dict.fromkeys(
        ("dropout", "attn_pdrop", "resid_pdrop", "attention_dropout", "attention_probs_dropout_prob", "drop_rate",
         "attn_dropout", "resid_dropout", "hidden_dropout_prob"),
        DROPOUT,
    )  # fmt: skip
    return SimpleNamespace(**config, **dropout, bias=True, qkv_bias=True, attention_bias=True, flash=False, causal=True)


@dataclass(frozen=True)
class LayerCall:
    """The arguments of a forward.

    Attributes:
        inputs: What each positional input is: `x` or `context`.
        mask: Name of the mask's parameter, or None.
        needs_mask: Whether it must be given, if only as None.
        named: Arguments that ask for the weights.
    """

    inputs: tuple[str, ...]
    mask: str | None
    needs_mask: bool = False
    named: tuple[tuple[str, Any], ...] = ()

    def __call__(self, layer: Any, x: Any, context: Any, mask: Any) -> Any:
        """Call the layer."""
        given = [x if name == "x" or context is None else context for name in self.inputs]
        named = dict(self.named)
        if self.mask is not None and (mask is not None or self.needs_mask):
            named[self.mask] = mask
        return (layer if callable(layer) else layer.forward)(*given, **named)


def read_forward(layer: Any, *, is_cross: bool) -> LayerCall:
    """Find out how the layer is called, from the names of the parameters of its forward.

    Raises:
        UnjudgedError: it takes no input, or needs what the contract does not know.
    """
    function = getattr(layer, "forward", layer)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind not in _VARIADIC]
    masks = [p for p in parameters if "mask" in p.name.lower()]
    mask = next((p for p in masks if "pad" not in p.name.lower()), masks[0] if masks else None)
    inputs = [p for p in parameters if p not in masks and p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    if not inputs:
        raise UnjudgedError("its forward takes no input; expected forward(x) or forward(query, key, value).")
    context = next((p for p in parameters if p not in inputs and p is not mask and is_context(p.name)), None)
    if is_cross and len(inputs) == 1 and context is not None:
        inputs.append(context)
    if len(inputs) > 3:
        raise UnjudgedError(
            f"its forward needs {', '.join(p.name for p in inputs)}; the contract knows x, context and mask."
        )
    names = _meaning([p.name for p in inputs])
    if is_cross and "context" not in names:
        raise UnjudgedError("its forward takes no second input; cross-attention is forward(x, context).")
    if mask is None and not is_cross:
        mask = next((p for p in parameters if p not in inputs and p.default is None and len(p.name) < 3), None)
    asks = (
        "return_weights",
        "return_attention",
        "return_attn",
        "return_attn_weights",
        "output_attentions",
        "need_weights",
    )
    named = tuple((p.name, True) for p in parameters if p.name in asks)
    return LayerCall(names, mask.name if mask else None, mask is not None and mask.default is mask.empty, named)


_CONTEXT = frozenset("context memory encoder enc cond source src other y kv key_value ctx states".split())


def is_context(name: str) -> bool:
    """Whether a parameter of that name is a second input, which answers."""
    return bool(_CONTEXT & {*words(name), name.lower()}) and "mask" not in name.lower()


def _meaning(names: list[str]) -> tuple[str, ...]:
    """Say of each input whether it asks or answers: two are x and context; of three, the query asks."""
    if len(names) == 3:
        roles = [role_of(name) for name in names]
        if "query" in roles:
            return tuple("x" if role == "query" else "context" for role in roles)
        return ("x", "context", "context")
    return ("x", "context")[: len(names)]
