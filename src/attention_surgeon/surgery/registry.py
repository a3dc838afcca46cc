"""The way into a model of transformers: its attention registry.

A module asks `config._attn_implementation` for the name of its attention function. While it is operated on, it holds a
copy of its configuration that gives our name; every other module, the model's own configuration and the masks that the
model makes stay as they are, so what is not operated on cannot change.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.masks import causal_mask
from attention_surgeon.masks.read import read_additive
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.healthy import healthy_circuit
from attention_surgeon.surgery.layers import Layer, RegistryUse
from attention_surgeon.surgery.table import patient_of

NAME = "attention_surgeon"
"""The name under which our function stands in the registry while anything is operated on."""

_READABLE = ("eager", "sdpa")
_SINKS = ("s_aux", "sinks")
_KNOWN = frozenset(
    {"dropout", "scaling", "is_causal", "position_bias", "softcap", *_SINKS, "sliding_window", "output_attentions"}
)
"""Arguments whose meaning is known: read here, in the mask already (a window), or of no effect."""


def connect(layer: Layer) -> Callable[[], None]:
    """Make a module call us; return what makes it as it was.

    Raises:
        SurgeryError: the module attends by a function whose masks cannot be read.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    module: Any = layer.module
    own = module.config
    name = own._attn_implementation
    if name not in _READABLE:
        raise SurgeryError(
            f"layer {layer.name} attends by {name!r}, whose masks cannot be read; "
            f"call model.set_attn_implementation('sdpa') first."
        )
    if not _LAYERS:
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
    ours = copy.copy(own)
    ours._attn_implementation_internal = NAME
    module.config = ours
    _LAYERS[module] = (layer, name)

    def put_back() -> None:
        module.config = own
        del _LAYERS[module]
        if not _LAYERS:
            AttentionInterface._global_mapping.pop(NAME, None)
            AttentionMaskInterface._global_mapping.pop(NAME, None)

    return put_back


_LAYERS: dict[nn.Module, tuple[Layer, str]] = {}


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend in the place of transformers' own function, with its arguments."""
    layer, name = _LAYERS[module]
    call = read_call(layer, name, query, key, value, attention_mask, options)
    return patient_of(module).attend(call)[0], None


def read_call(
    layer: Layer,
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    options: Mapping[str, Any],
) -> AttentionCall:
    """Return a call of the registry as one of ours.

    Args:
        layer: Which layer calls.
        name: Its own implementation, "eager" or "sdpa".
        query: `(batch, heads, n_q, d)`.
        key: `(batch, kv_heads, n_k, d)`, not repeated.
        value: `(batch, kv_heads, n_k, d_v)`.
        attention_mask: Boolean (True = may attend), floating (added), or None.
        options: Every other argument.

    Raises:
        SurgeryError: dropout is on, which no two computations share; an argument whose meaning is not known.
    """
    if options.get("dropout"):
        raise SurgeryError(f"layer {layer.name} drops weights at random while training; call model.eval() first.")
    mask, bias = _read_mask(attention_mask)
    if attention_mask is None and name == "sdpa" and _is_causal(layer.module, query, options):
        mask = causal_mask(query.shape[-2], key.shape[-2], align="start")
    use, module = layer.use, layer.module
    assert isinstance(use, RegistryUse)
    function = use.interface.get_interface(name, use.eager)

    def own(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return function(module, query, key, value, attention_mask, **options)[0]

    _require_known(layer, function, options)
    scaling = options.get("scaling")
    scaling = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    return AttentionCall(
        layer=layer,
        query=query,
        key=key,
        value=value,
        mask=mask,
        bias=bias,
        circuit=healthy_circuit(
            scaling,
            query.shape[-1],
            cap=options.get("softcap"),
            bias=options.get("position_bias"),
            sinks=next((options[name] for name in _SINKS if options.get(name) is not None), None),
        ),
        own=own,
        scaling=scaling,
    )


def _require_known(layer: Layer, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse a call whose own function reads an argument that is not known here.

    Raises:
        SurgeryError: with the name of the argument.
    """
    read = _names_read_by(inspect.unwrap(function))
    unknown = sorted(name for name, value in options.items() if value is not None and name in read - _KNOWN)
    if unknown:
        raise SurgeryError(
            f"layer {layer.name} hands {', '.join(unknown)} to its attention function, which reads it, and what it "
            f"means is not known here; nothing is operated on."
        )


def _names_read_by(function: Callable[..., Any]) -> frozenset[str]:
    """Return the arguments that a function can tell apart: those that it names, and texts by which it may ask."""
    code = getattr(function, "__code__", None)
    if code is None:
        return frozenset()
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return frozenset((*named, *(text for text in code.co_consts if isinstance(text, str))))


def _read_mask(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if mask is None:
        return None, None
    if not mask.is_floating_point():
        return mask.bool(), None
    allowed = read_additive(mask, "operate")
    bias = mask.masked_fill(~allowed, 0.0)
    return allowed, bias if bias.any() else None


def _is_causal(module: nn.Module, query: Tensor, options: Mapping[str, Any]) -> bool:
    """Whether "sdpa" without a mask hides the future, by transformers' own rule."""
    asked = options.get("is_causal")
    return query.shape[-2] > 1 and bool(getattr(module, "is_causal", True) if asked is None else asked)
