"""How a layer's forward takes what asks, what answers, and the mask."""

import inspect
from dataclasses import dataclass
from typing import Any

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.words import role_of, words


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


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
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
