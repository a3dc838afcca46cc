"""The contracts of attention layers: classes or objects with projections, heads and perhaps a mask."""

from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.contract import Conduct
from attention_surgeon.testing.layer_conduct import layer_conduct
from attention_surgeon.testing.layer_spec import LayerSpec
from attention_surgeon.testing.layer_subject import AskableLayer


@final
class LayerSubject(AskableLayer):
    """A layer bound to what is asked of it."""

    def conduct(self, circuit: Circuit | None) -> list[Conduct]:
        """Look at extremes, gradients, dtypes and dropout."""
        return layer_conduct(self, circuit)


@final
@dataclass(frozen=True)
class LayerContract(LayerSpec):
    """An attention layer; the options are those of `LayerSpec`."""

    def bind(self, target: Any) -> "LayerSubject":
        """Build the layer, find out how it is called and which of its tensors is which projection.

        Raises:
            UnjudgedError: it cannot be built or called, or its projections cannot be told apart.
        """
        return LayerSubject(self, target)
