"""From a layer to the way into it: the registry of transformers, a circuit of ours, or a module's own code."""

from collections.abc import Callable

from torch import nn

from attention_surgeon.surgery.layers import Layer, OwnCode
from attention_surgeon.surgery.own_code import connect as connect_own_code
from attention_surgeon.surgery.own_layers import connect as connect_own_layer
from attention_surgeon.surgery.registry import connect as connect_registry


def connecting(layers: tuple[Layer, ...]) -> Callable[[nn.Module], Callable[[], None]]:
    """Return what makes one of these layers call the operating table, each kind of layer in its own way."""
    by_module = {layer.module: layer for layer in layers}

    def connect(module: nn.Module) -> Callable[[], None]:
        layer = by_module[module]
        if layer.use is None:
            return connect_own_layer(layer)
        return connect_own_code(layer) if isinstance(layer.use, OwnCode) else connect_registry(layer)

    return connect
