"""What stands beside the attention of a layer during a run: what each head adds, and the residual stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery.choose import Choice, choose_layers
from attention_surgeon.surgery.inputs import ModelInput
from attention_surgeon.surgery.layers import attention_layers
from attention_surgeon.surgery.patching.anatomy import survey
from attention_surgeon.surgery.patching.touching import reading, touching


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """What was kept, by layer and name."""

    kept: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    matrices: dict[str, Tensor] = field(default_factory=dict)

    def of(self, layer: str, heads: tuple[int, ...]) -> dict[str, Tensor]:
        """Return what belongs to one layer, without the batch axis, on the CPU; of `head_out` the heads that are meant.

        Raises:
            SurgeryError: one of them was not reached.
        """
        found = {name: value[0].cpu() for (owner, name), value in self.kept.items() if owner == layer}
        missing = [name for name in _WANTED if name not in found]
        if missing:
            raise SurgeryError(f"layer {layer}: {missing[0]} was not reached in the run, so it cannot be captured.")
        mine = list(heads)
        return {**found, "head_out": found["head_out"][mine], "w_o": self.matrices[layer][mine].cpu()}


_WANTED = ("head_out", "residual", "residual_after")


@contextmanager
def keeping_stream(model: nn.Module, given: ModelInput, layers: Choice) -> Iterator[Stream]:
    """Survey a model, and keep what passes beside its attention in the runs within the block.

    Raises:
        SurgeryError: a layer has no output projection, or stands in no block.
    """
    modules = {layer.module for layer in choose_layers(attention_layers(model), layers)}
    places = [place for place in survey(model, given) if place.layer.module in modules]
    stream = Stream(matrices={place.layer.name: place.output_matrix() for place in places})
    with touching([reading(place, what, stream.kept) for place in places for what in _WANTED]):
        yield stream
