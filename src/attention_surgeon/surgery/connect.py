"""From a layer to the way into it: the registry of transformers, or the circuit of a layer of this package."""

from collections.abc import Callable

from torch import nn

from attention_surgeon.surgery.layers import Layer
from attention_surgeon.surgery.own_layers import connect as connect_own_layer
from attention_surgeon.surgery.registry import connect as connect_registry


def connecting(layers: tuple[Layer, ...]) -> Callable[[nn.Module], Callable[[], None]]:
    """Return what makes one of these layers call the operating table, each kind of layer in its own way."""
    by_module = {layer.module: layer for layer in layers}

    def connect(module: nn.Module) -> Callable[[], None]:
        layer = by_module[module]
        return connect_own_layer(layer) if layer.use is None else connect_registry(layer)

    return connect
