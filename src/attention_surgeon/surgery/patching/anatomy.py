"""Where the heads of a layer join the rest of the model: its output projection, its block, the residual stream.

Nothing is looked up by name. One run is watched: the output projection is the module that takes exactly what the heads
gathered, the block is the part of the model that repeats around the layer, and whether the projection's output is added
to the stream as it is (pre-norm) is computed from what went in and what came out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery.inputs import ModelInput
from attention_surgeon.surgery.layers import Layer, attention_layers, model_name
from attention_surgeon.surgery.visit import visit_layers

_SAME = 1e-4  # relative: sums of float32 in another order differ by less


@final
@dataclass(frozen=True, eq=False)
class Place:
    """One attention layer and what stands around it.

    Attributes:
        layer: The layer.
        num_heads: Query heads.
        num_kv_heads: Key and value heads.
        value_size: Numbers that one head gathers, d_v.
        projection: The output projection W_O; None: no module takes what the heads gathered as it is.
        block: What repeats around the layer; None: the layer stands in no list of modules.
        joins_stream: Whether the projection's output is added to the residual stream without a norm in between.
    """

    layer: Layer
    num_heads: int
    num_kv_heads: int
    value_size: int
    projection: nn.Module | None
    block: nn.Module | None
    joins_stream: bool

    def output_matrix(self) -> Tensor:
        """Return W_O by head, `(heads, d_v, width)`: what a head gathered times it is what the head adds.

        Raises:
            SurgeryError: no module takes what the heads gathered as it is.
        """
        if self.projection is None:
            raise SurgeryError(
                f"layer {self.layer.name}: no module takes what its heads gathered as it is, so there is no output "
                f"projection to take apart; what='z' patches the heads in front of it."
            )
        return linear_matrix(self.projection, self.num_heads * self.value_size).unflatten(
            0, (self.num_heads, self.value_size)
        )

    def require_block(self) -> nn.Module:
        """Return the block.

        Raises:
            SurgeryError: there is none.
        """
        if self.block is None:
            raise SurgeryError(
                f"layer {self.layer.name} stands in no list of blocks, so this model has no residual stream in layers."
            )
        return self.block

    def require_stream(self) -> None:
        """Refuse a layer whose heads do not add to the residual stream.

        Raises:
            SurgeryError: a norm stands between the heads and the stream.
        """
        if not self.joins_stream:
            raise SurgeryError(
                f"layer {self.layer.name}: what its heads add goes through a norm or a gate before it joins the "
                f"residual stream (or after it, as in BERT), so the direct path of one head is not defined; "
                f"patch(what='z') takes every path together."
            )


@torch.no_grad()
def linear_matrix(module: nn.Module, width: int) -> Tensor:
    """Return the matrix of a linear module, `(in, out)`, its bias left out, whatever the module keeps it in."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Linear):
        return module.weight.detach().T
    given = next(module.parameters(), torch.zeros(()))
    if isinstance(weight, Tensor) and weight.shape[0] == width and hasattr(module, "nf"):  # Conv1D of transformers
        return weight.detach()
    unit = torch.eye(width, dtype=given.dtype, device=given.device)
    return module(unit) - module(torch.zeros_like(unit[:1]))


def survey(model: nn.Module, given: ModelInput) -> tuple[Place, ...]:
    """Run a model once and return the place of each attention layer that was called, in the model's order.

    Raises:
        SurgeryError: nothing called attention.
        OptionError: the model is in training mode.
    """
    layers = attention_layers(model)
    blocks = {layer.module: _block(model, layer, layers) for layer in layers}
    watch = _Watch({layer: blocks[layer.module] for layer in layers})
    try:
        watch.begin(model)
        visit_layers(model, given.arguments, watch.see_call)
    finally:
        watch.end()
    return tuple(watch.place(layer) for layer in layers if layer.module in watch.shapes)


def _block(model: nn.Module, layer: Layer, layers: tuple[Layer, ...]) -> nn.Module | None:
    """Return the outermost element of a list of modules that holds no second layer of the same stack."""
    parts = layer.path.split(".")
    for end in range(1, len(parts) + 1):
        if not parts[end - 1].isdigit():
            continue
        path = ".".join(parts[:end])
        inside = [other.stack for other in layers if f"{other.path}.".startswith(f"{path}.")]
        if len(inside) == len(set(inside)):
            return model.get_submodule(path)
    return None


@final
class _Watch:
    """Notes, during one run, what went into and came out of every module of a block."""

    def __init__(self, blocks: Mapping[Layer, nn.Module | None]) -> None:
        self.blocks = blocks
        self.shapes: dict[nn.Module, tuple[int, int, int]] = {}
        self._projections: dict[nn.Module, nn.Module] = {}
        self._pending: dict[nn.Module, Tensor] = {}
        self._around: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._outputs: dict[nn.Module, list[tuple[nn.Module, Tensor]]] = {}
        self._added: dict[nn.Module, bool] = {}
        self._hooks: list[Any] = []

    def begin(self, model: nn.Module) -> None:
        for layer, block in self.blocks.items():
            around = block if block is not None else model
            names = {module: name for name, module in around.named_modules() if module is not around}
            for module in names:
                self._hooks.append(module.register_forward_hook(self._seeing(layer.module, around)))
        for block in {block for block in self.blocks.values() if block is not None}:
            self._hooks.append(block.register_forward_hook(self._leave_block, with_kwargs=True))

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def see_call(self, call: Any) -> None:
        module = call.layer.module
        self.shapes[module] = (call.num_heads, call.num_kv_heads, call.value.shape[-1])
        self._pending[module] = call.own(call.query, call.key, call.value)

    def place(self, layer: Layer) -> Place:
        module = layer.module
        shape, block = self.shapes[module], self.blocks[layer]
        return Place(layer, *shape, self._projections.get(module), block, self._added.get(module, False))

    def _seeing(self, attention: nn.Module, around: nn.Module) -> Callable[..., None]:
        def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            first = inputs[0] if inputs else None
            made = output[0] if isinstance(output, tuple) and output else output
            if isinstance(made, Tensor):
                self._outputs.setdefault(around, []).append((module, made))
            gathered = self._pending.get(attention)
            if gathered is None or not isinstance(first, Tensor) or not isinstance(output, Tensor):
                return
            merged = gathered.flatten(-2)
            if first.shape == merged.shape and torch.equal(first, merged) and not _is_identity(module, first, output):
                self._projections.setdefault(attention, module)
                del self._pending[attention]

        return see

    def _leave_block(self, block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        outputs = self._outputs.pop(block, [])
        before, after = block_input(inputs, named), block_output(output)
        mine = [layer.module for layer, around in self.blocks.items() if around is block]
        if before is None or after is None or before.shape != after.shape:
            return
        rest = after - before
        for attention in mine:
            projected = [made for module, made in outputs if module is self._projections.get(attention)]
            if not projected or projected[0].shape != rest.shape:
                return
            rest = rest - projected[0]
        room = _SAME * max(float(after.abs().max()), 1e-9)
        others = [made.reshape(rest.shape) for _, made in outputs if made.numel() == rest.numel()]
        added = [made for made in (torch.zeros_like(rest), *others) if float((rest - made).abs().max()) < room]
        self._added.update(dict.fromkeys(mine, bool(added)))


def _is_identity(module: nn.Module, first: Tensor, output: Tensor) -> bool:
    """Whether a module hands on what it got, as dropout does in evaluation; W_O = 1 in a layer of ours does, too."""
    return not any(True for _ in module.parameters()) and first.shape == output.shape and torch.equal(first, output)


def block_input(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor | None:
    """Return the residual stream that a block is given."""
    given = inputs[0] if inputs else named.get("hidden_states")
    return given if isinstance(given, Tensor) and given.ndim == 3 else None


def block_output(output: Any) -> Tensor | None:
    """Return the residual stream that a block gives: its output, or the first of several."""
    given = output[0] if isinstance(output, tuple | list) and output else output
    return given if isinstance(given, Tensor) and given.ndim == 3 else None


def require_places(places: tuple[Place, ...], model: nn.Module) -> tuple[Place, ...]:
    """Return the places.

    Raises:
        SurgeryError: there are none.
    """
    if not places:
        raise SurgeryError(f"{model_name(model)} ran and called no attention: there is nothing to patch.")
    return places
