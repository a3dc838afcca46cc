"""Where a model attends: its attention layers by stack and number, found without running it.

A layer is one of our own (`nn.AttentionLayer`, which runs a circuit), or a module of transformers whose code asks the
attention registry for the function that attends, or a module that attends by code of its own: of PyTorch, of a model
outside the registry, of somebody's own. The second kind is told from the code of its class, not from a list of names:
the class has a method that refers to an `AttentionInterface`. The third kind is told by its name, and whether it
attends is proved at each call, or the call is refused.
"""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any, final

from torch import nn

from attention_surgeon.errors import ArgumentTypeError, SurgeryError
from attention_surgeon.nn.layer import AttentionLayer
from attention_surgeon.require import kind_of

_CROSS = re.compile(r"cross|encdec|encoder_attn|multihead_attn", re.IGNORECASE)
_LOOKS = re.compile(r"attention|attn|mha|mhsa", re.IGNORECASE)
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head")


@final
@dataclass(frozen=True)
class RegistryUse:
    """How a class of transformers finds the function that attends.

    Attributes:
        interface: The registry that its code asks.
        eager: The function it falls back on for "eager", or None where its code names none.
    """

    interface: Any
    eager: Callable[..., Any] | None


@final
@dataclass(frozen=True)
class OwnCode:
    """That a module attends by code of its own, which is followed while it runs."""


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """One attention layer of a model.

    Attributes:
        stack: "" where the model has one stack of layers, otherwise "encoder", "decoder", "cross" or a path.
        index: Number within its stack, from 0.
        path: Where the module is, as `model.get_submodule` takes it.
        module: The module.
        num_heads: Query heads; None where only a call can tell.
        num_kv_heads: Key and value heads; None where only a call can tell.
        use: How it finds its attention function, or that it has code of its own; None for a layer of this package.
    """

    stack: str
    index: int
    path: str
    module: nn.Module
    num_heads: int | None
    num_kv_heads: int | None
    use: RegistryUse | OwnCode | None

    @property
    def name(self) -> str:
        """The number, after the stack's name where there are several: `3`, `decoder 3`."""
        return f"{self.stack} {self.index}".strip()


def attention_layers(model: nn.Module) -> tuple[Layer, ...]:
    """Return the attention layers of a model, in the order in which it holds them.

    Args:
        model: A model of transformers or of PyTorch, or any module with attention in it.

    Raises:
        ArgumentTypeError: no module.
        SurgeryError: nothing in it looks like attention, so that no operation could take effect.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> [layer.name for layer in attention_layers(Decoder(DecoderConfig(vocabulary_size=3, num_layers=2)))]
    ['0', '1']
    """
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(
            f"attention_layers: model is {kind_of(model)}, expected a torch.nn.Module such as a model of transformers; "
            f"load one with surgery.load_model(...)."
        )
    found = list(_attending_modules(model))
    if not found:
        raise SurgeryError(_no_layers(model))
    patterns = [_pattern(path) for path, _, _ in found]
    is_pair = is_encoder_decoder(model) or all(any(side in one for one in patterns) for side in ("encoder", "decoder"))
    names = _stack_names(patterns, is_pair)
    counts: dict[str, int] = {}
    layers = []
    for path, module, use in found:
        stack = names[_pattern(path)]
        num_heads, num_kv_heads = _count_heads(module)
        layers.append(Layer(stack, counts.get(stack, 0), path, module, num_heads, num_kv_heads, use))
        counts[stack] = counts.get(stack, 0) + 1
    return tuple(layers)


def _of_own_code(model: nn.Module, reached: list[str]) -> Iterator[str]:
    """Yield the paths of modules that look like attention and are not reached otherwise.

    Only these are told by their name: a class called ...Attention... with parameters of its own, with no layer in it or
    around it that is reached; of several inside each other the innermost.
    """
    found: list[str] = []
    for path, module in model.named_modules():
        looks = _LOOKS.search(type(module).__name__) and any(True for _ in module.parameters())
        if not looks or isinstance(module, nn.ModuleList) or _is_whole_model(module):
            continue
        is_related = any(f"{other}.".startswith(f"{path}.") or f"{path}.".startswith(f"{other}.") for other in reached)
        if not is_related and path:
            found = [other for other in found if not path.startswith(f"{other}.")]  # the innermost one attends
            found.append(path)
    yield from found


def _is_whole_model(module: nn.Module) -> bool:
    library = sys.modules.get("transformers.modeling_utils")
    return library is not None and isinstance(module, library.PreTrainedModel)


def in_classes(layers: Iterable[Layer]) -> str:
    """Return how many layers are of which class: `2 LongT5LocalAttention`."""
    counts = Counter(type(layer.module).__name__ for layer in layers)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def is_encoder_decoder(model: nn.Module) -> bool:
    """Whether the model reads with one stack and writes with another."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def model_name(model: nn.Module) -> str:
    """Return the class of a model and its type: `GPT2LMHeadModel (gpt2)`."""
    kind = getattr(getattr(model, "config", None), "model_type", "")
    return f"{type(model).__name__} ({kind})" if kind else type(model).__name__


def _attending_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module, RegistryUse | OwnCode | None]]:
    uses: dict[str, RegistryUse | OwnCode | None] = {}
    for path, module in model.named_modules():
        if isinstance(module, AttentionLayer):
            uses[path] = None
        elif (use := _registry_use(type(module))) is not None:
            uses[path] = use
    uses |= dict.fromkeys(_of_own_code(model, list(uses)), OwnCode())
    for path, module in model.named_modules():
        if path in uses:
            yield path, module, uses[path]


@cache
def _registry_use(kind: type[nn.Module]) -> RegistryUse | None:
    """Return how the class asks the registry, None if it does not, or if transformers was never imported."""
    library = sys.modules.get("transformers.modeling_utils")
    if library is None or kind.__module__.startswith("torch.") or issubclass(kind, library.PreTrainedModel):
        return None
    for _, method in inspect.getmembers(kind, inspect.isfunction):
        function = inspect.unwrap(method)
        if not isinstance(function, FunctionType) or "get_interface" not in function.__code__.co_names:
            continue
        named = {name: function.__globals__.get(name) for name in function.__code__.co_names}
        for value in named.values():
            if isinstance(value, library.AttentionInterface):
                return RegistryUse(value, next((named[name] for name in named if "eager_attention" in name), None))
    return None


def _pattern(path: str) -> str:
    return re.sub(r"\b\d+\b", "*", path)


def _stack_names(patterns: list[str], is_encoder_decoder: bool) -> dict[str, str]:
    """Return a name for each distinct path, short where the names of the parts say what they are."""
    distinct = list(dict.fromkeys(patterns))
    if len(distinct) == 1 and not is_encoder_decoder:
        return {distinct[0]: ""}
    names = {pattern: _stack_name(pattern, is_encoder_decoder) for pattern in distinct}
    unclear = len(set(names.values())) < len(distinct)
    return {pattern: pattern for pattern in distinct} if unclear else names


def _stack_name(pattern: str, is_encoder_decoder: bool) -> str:
    last = pattern.rpartition("*")[2] or pattern
    if _CROSS.search(last):
        return "cross"
    if not is_encoder_decoder:
        return "self" if "*" in pattern else pattern
    return "decoder" if "decoder" in pattern else "encoder"


def _count_heads(module: nn.Module) -> tuple[int | None, int | None]:
    config = getattr(module, "config", None)
    places = [(module, name) for name in _HEADS] + [(config, "num_attention_heads")]
    num_heads = next((found for place in places if isinstance(found := getattr(*place, None), int)), None)
    if isinstance(module, AttentionLayer):
        return module.num_heads, module.num_kv_heads
    groups = getattr(module, "num_key_value_groups", 1)
    return num_heads, None if num_heads is None or not isinstance(groups, int) else num_heads // groups


def _no_layers(model: nn.Module) -> str:
    return (
        f"{model_name(model)} holds no attention layer to operate on: nothing in it calls the attention registry of "
        f"transformers, is a layer of attention_surgeon.nn, or is of a class called ...Attention..., Attn or MHA."
    )
