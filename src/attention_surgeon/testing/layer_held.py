"""A layer with our numbers in it, and which of its tensors may be which projection."""

import copy
import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.arrays import Library
from attention_surgeon.testing.layer_build import LayerSizes, build_layer
from attention_surgeon.testing.layer_parameters import (
    Projections,
    Reading,
    Tensors,
    draw_parameters,
    fill_parameters,
    parameters_of,
    projections,
    readings,
)
from attention_surgeon.testing.layer_spec import LayerSpec


@dataclass(frozen=True)
class Held:
    """A layer with our numbers in it, and what a circuit needs to do the same.

    Attributes:
        layer: The layer.
        library: What it computes with.
        sizes: Of the layer and its calls.
        tensors: The numbers, by parameter.
        shapes: Of the parameters, in order.
    """

    layer: Any
    library: Library
    sizes: LayerSizes
    tensors: Tensors
    shapes: tuple[tuple[str, tuple[int, ...]], ...]


def hold(target: Any, contract: LayerSpec, probe: int) -> Held:
    """Build the layer of a probe, or copy the one that is there, and put our numbers into it.

    Raises:
        UnjudgedError: it cannot be built or called, or has no weights.
    """
    sizes = contract.sizes(probe)
    is_object = not isinstance(target, type)
    layer = build_layer(copy.deepcopy(target) if is_object else target, sizes)
    if isinstance(layer, nn.Module):
        layer.float().eval()
    if not callable(layer) and not callable(getattr(layer, "forward", None)):
        raise UnjudgedError(f"objects of the class {type(layer).__name__} cannot be called; a layer has a forward(x).")
    if getattr(layer, "batch_first", True) is False:
        raise UnjudgedError("it takes (n, batch, width); build it with batch_first=True to have it judged.")
    parameters = parameters_of(layer)
    shapes = tuple((name, tuple(value.shape)) for name, value in parameters.items())
    drawn = fill_parameters(layer, probe)
    library: Library = "torch" if all(isinstance(value, Tensor) for value in parameters.values()) else "numpy"
    sizes = _sizes_of_object(layer, shapes, sizes) if is_object else sizes
    return Held(layer, library, sizes, drawn, shapes)


def _sizes_of_object(layer: Any, shapes: tuple[tuple[str, tuple[int, ...]], ...], sizes: LayerSizes) -> LayerSizes:
    """Return the sizes of a layer that was built by somebody else."""
    width = next(shape[1] for _, shape in shapes if len(shape) == 2)
    names = ("num_heads", "n_heads", "heads", "n_head", "h", "nhead", "num_attention_heads", "nheads")
    heads = next(
        (int(getattr(layer, name)) for name in names if isinstance(getattr(layer, name, None), int)), sizes.heads
    )
    shared = ("num_kv_heads", "n_kv_heads", "kv_heads", "num_key_value_heads", "n_kv_head")
    kv_heads = next((int(getattr(layer, name)) for name in shared if isinstance(getattr(layer, name, None), int)), None)
    if width % heads:
        raise UnjudgedError(f"its width {width} cannot be cut into {heads} heads; build it with another width.")
    kv_heads = min(sizes.kv_heads, heads) if kv_heads is None and sizes.kv_heads != sizes.heads else kv_heads or heads
    return dataclasses.replace(sizes, heads=heads, kv_heads=kv_heads, head=width // heads)


@lru_cache(maxsize=64)
def projections_of(
    shapes: tuple[tuple[str, tuple[int, ...]], ...], probe: int, reading: Reading, sizes: LayerSizes
) -> Projections:
    """Return the projections of a layer of these shapes, with the numbers of a probe in it."""
    return projections(reading, draw_parameters(shapes, probe), sizes)


def fitting_readings(held: Held) -> list[Reading]:
    """Return the readings of the parameters that fit the layer's sizes, the most usual first."""
    candidates = readings(dict(held.shapes), _weights_of_linears(held.layer))
    return [reading for reading in candidates if _fits(reading, held)]


def _weights_of_linears(layer: Any) -> set[str]:
    """Return the names of the weights that are stored `(out, in)`: those of nn.Linear and of nn.MultiheadAttention."""
    if not isinstance(layer, nn.Module):
        return set()
    owners = [(name, module) for name, module in layer.named_modules() if isinstance(module, nn.Linear)]
    found = {f"{name}.weight".lstrip(".") for name, _ in owners}
    return found | {name for name, _ in layer.named_parameters() if name.endswith("in_proj_weight")}


def _fits(reading: Reading, held: Held) -> bool:
    """Whether the projections have the sizes that heads and width ask for."""
    try:
        linears = projections(reading, held.tensors, held.sizes)
    except (RuntimeError, ValueError):
        return False
    sizes = held.sizes
    query, key, value = (linears[role].weight for role in ("query", "key", "value"))
    if query is None or key is None or value is None:
        return False
    shared = sizes.kv_heads * sizes.head
    return query.shape[0] == sizes.embed and key.shape[0] == shared and value.shape[0] == shared
