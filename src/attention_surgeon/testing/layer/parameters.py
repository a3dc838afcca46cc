"""The parameters of a layer: which tensors it has, what we write into them, and how they may be read as projections.

Numbers are written into the tensors in the order in which the layer lists them, so two layers built alike hold the same
numbers. A `Reading` then says which tensor is which projection. Names decide; where they do not, or where a packed
tensor can be cut in more ways than one, every reading is a candidate and the layer's behaviour chooses.
"""

import copy
import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.answer import Array, Library, to_array
from attention_surgeon.testing.draw import generator
from attention_surgeon.testing.layer.build import LayerSizes, build_layer
from attention_surgeon.testing.layer.cases import LayerSpec
from attention_surgeon.testing.words import role_of

Packing: TypeAlias = Literal["blocks", "per head", "strided"]

PACKINGS: tuple[Packing, ...] = ("blocks", "per head", "strided")

_WEIGHT_AMPLITUDE, _BIAS_AMPLITUDE = 1.3, 0.6


@dataclass(frozen=True)
class Affine:
    """One projection: `x Wᵀ + b`, as `nn.Linear` holds it."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Project."""
        return functional.linear(x, self.weight, self.bias)

    @property
    def width(self) -> int:
        """Of what goes in."""
        return self.weight.shape[1]

    def undo(self, output: Array) -> Array | None:
        """Return what went in, where it can be told from what came out."""
        num_out, num_in = self.weight.shape
        if num_out != num_in or output.shape[-1] != num_out or not np.isfinite(output).all():
            return None
        bias = 0.0 if self.bias is None else self.bias.numpy()
        return to_array(np.linalg.solve(self.weight.numpy(), (output - bias)[..., None])[..., 0])


class Unprojected:
    """Stands where a layer has no output projection."""

    weight = bias = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def undo(self, output: Array) -> Array:
        """Return the output, which went in as it is."""
        return output


Projections: TypeAlias = Mapping[str, Affine | Unprojected]
"""By role: `query`, `key`, `value`, `output`."""


@dataclass(frozen=True)
class Reading:
    """Which tensors are which projection.

    Attributes:
        roles: For each role (`query`, `key`, `value`, `qkv`, `kv`, `output`) the names of its weights, in order: more
            than one where every head has its own.
        packing: How a packed tensor is cut.
        turned: Names of the weights that are stored `(in, out)` and used as `x @ W`.
    """

    roles: tuple[tuple[str, tuple[str, ...]], ...]
    packing: Packing = "blocks"
    turned: frozenset[str] = frozenset()

    @property
    def is_packed(self) -> bool:
        """Whether some of query, key and value come out of one tensor."""
        return any(role in ("qkv", "kv") for role, _ in self.roles)

    @property
    def is_shared(self) -> bool:
        """Whether query, key and value are one and the same projection."""
        used = dict(self.roles)
        return not self.is_packed and used.get("query") == used.get("key") == used.get("value")

    @property
    def has_output(self) -> bool:
        """Whether there is an output projection."""
        return any(role == "output" for role, _ in self.roles)


Tensors: TypeAlias = Mapping[str, Tensor]


def parameters_of(layer: Any) -> dict[str, Any]:
    """Return the floating parameters of a module, or the arrays of a plain object, by name.

    Raises:
        UnjudgedError: there are none.
    """
    if isinstance(layer, nn.Module):
        found: dict[str, Any] = {name: p for name, p in layer.named_parameters() if p.is_floating_point()}
    else:
        kept = vars(layer) if hasattr(layer, "__dict__") else {}
        found = {
            name: value
            for name, value in kept.items()
            if isinstance(value, np.ndarray | Tensor) and value.ndim in (1, 2) and value.dtype in _FLOATING
        }
    if not any(value.ndim == 2 for value in found.values()):
        raise UnjudgedError("it has no weight matrices; a layer keeps its projections as parameters or arrays.")
    return found


_FLOATING = (np.dtype("float64"), np.dtype("float32"), torch.float32, torch.float64)


def fill_parameters(layer: Any, probe: int = 0) -> Tensors:
    """Write the numbers with which a layer is judged into its parameters, in place, and return them in float64.

    Args:
        layer: A module, or an object whose arrays are its weights.
        probe: Which numbers, 0 or 1; counterexamples are found with 0.

    Raises:
        UnjudgedError: it has no weights.
    """
    parameters = parameters_of(layer)
    drawn = draw_parameters(tuple((name, tuple(value.shape)) for name, value in parameters.items()), probe)
    write_parameters(parameters, drawn)
    return drawn


@lru_cache(maxsize=64)
def draw_parameters(shapes: tuple[tuple[str, tuple[int, ...]], ...], seed: int) -> Tensors:
    """Draw a number for every entry, the same for the same shapes in the same order."""
    source = generator(5000 + seed)
    drawn = {}
    for name, shape in shapes:
        spread = _BIAS_AMPLITUDE if len(shape) == 1 else _WEIGHT_AMPLITUDE / shape[-1] ** 0.5
        drawn[name] = (torch.randn(*shape, generator=source) * spread).double()
    return drawn


def write_parameters(parameters: Mapping[str, Any], drawn: Tensors) -> None:
    """Put the drawn numbers into the layer."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            if isinstance(parameter, Tensor):
                parameter.copy_(drawn[name])
            else:
                parameter[...] = drawn[name].numpy()


def readings(shapes: Mapping[str, tuple[int, ...]], linear: Collection[str]) -> Iterator[Reading]:
    """Yield every way to read the tensors, the most usual first.

    Args:
        shapes: Of the tensors, by name.
        linear: Names of the weights that belong to an `nn.Linear`, which says itself that they are `(out, in)`.

    Raises:
        UnjudgedError: there are matrices that cannot all be projections.
    """
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    given = {name: role_of(name.removesuffix("weight").rstrip("._") or name) for name in matrices}
    if len(matrices) <= 2 and not {"kv", "qkv"} & {*given.values()} and len({shapes[name] for name in matrices}) == 1:
        first, *rest = matrices
        shared = tuple((role, (first,)) for role in ("query", "key", "value"))
        yield Reading((*shared, *(("output", (name,)) for name in rest)))
        return
    candidates = [_by_names(given)] if _are_complete(given.values()) else list(_by_order(matrices))
    for roles in candidates:
        is_packed = any(role in ("qkv", "kv") for role, _ in roles)
        own = frozenset(matrices) - frozenset(linear)
        turns = (own, frozenset[str]()) if own else (own,)
        for packing, turned in itertools.product(PACKINGS if is_packed else PACKINGS[:1], turns):
            yield Reading(roles, packing, turned)


def projections(reading: Reading, tensors: Tensors, sizes: LayerSizes) -> Projections:
    """Return the projections by role, in torch's orientation, as the reading says."""
    found: dict[str, Affine | Unprojected] = {"output": Unprojected()}
    for role, names in reading.roles:
        weights = [tensors[name].T if name in reading.turned else tensors[name] for name in names]
        biases = [tensors.get(_bias_name(name, tensors) or "") for name in names]
        weight = torch.cat(weights) if len(weights) > 1 else weights[0]
        bias = None if any(b is None for b in biases) else torch.cat([b for b in biases if b is not None])
        if role in ("qkv", "kv"):
            found |= _cut(Affine(weight, bias), role, reading.packing, sizes)
        else:
            found[role] = Affine(weight, bias)
    return found


def _are_complete(roles: Any) -> bool:
    roles = set(roles)
    return None not in roles and ("qkv" in roles or {"query", "key", "value"} <= roles or {"query", "kv"} <= roles)


def _by_names(given: Mapping[str, str | None]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    roles: dict[str, list[str]] = {}
    for name, role in given.items():
        roles.setdefault(role or "output", []).append(name)
    return tuple((role, tuple(names)) for role, names in roles.items())


def _by_order(matrices: Sequence[str]) -> Iterator[tuple[tuple[str, tuple[str, ...]], ...]]:
    """Yield query, key, value and output in the order of the parameters, then every other order."""
    if len(matrices) in (1, 2):
        yield tuple((role, (name,)) for role, name in zip(("qkv", "output"), matrices, strict=False))
        return
    if len(matrices) not in (3, 4):
        raise UnjudgedError(
            f"it has {len(matrices)} weight matrices whose names do not say which projects queries, keys, values and "
            f"the output: {', '.join(matrices[:6])}. Call them query, key, value and output."
        )
    for order in itertools.permutations(matrices):
        yield tuple((role, (name,)) for role, name in zip(("query", "key", "value", "output"), order, strict=False))


def _bias_name(weight: str, tensors: Tensors) -> str | None:
    """Return the name of the bias that goes with a weight."""
    if weight.endswith("weight"):
        name = weight.removesuffix("weight") + "bias"
        return name if name in tensors else None
    role = role_of(weight)
    names = [
        name for name, x in tensors.items() if x.ndim == 1 and role is not None and role_of(_unbiased(name)) == role
    ]
    return names[0] if len(names) == 1 else None


def _unbiased(name: str) -> str:
    """Return a bias's name as its weight would be called: `b_q` and `bias_q` as `q`."""
    return name.replace("bias", "").removeprefix("b") if name.startswith("b") else name.replace("bias", "")


def _cut(packed: Affine, role: str, packing: Packing, sizes: LayerSizes) -> dict[str, Affine]:
    """Cut a packed projection into its own."""
    names = ("query", "key", "value") if role == "qkv" else ("key", "value")
    heads = [sizes.heads if name == "query" else sizes.kv_heads for name in names]
    if packing != "blocks" and len(set(heads)) > 1:
        packing = "blocks"
    rows = torch.arange(packed.weight.shape[0])
    size = packed.weight.shape[0] // sum(heads)
    if packing == "blocks":
        chosen = (
            rows.split([count * size for count in heads]) if sum(heads) * size == len(rows) else rows.chunk(len(names))
        )
    elif packing == "per head":
        chosen = rows.reshape(heads[0], len(names), size).transpose(0, 1).reshape(len(names), -1)
    else:
        chosen = rows.reshape(size, len(names), heads[0]).permute(1, 2, 0).reshape(len(names), -1)
    bias = packed.bias
    return {
        name: Affine(packed.weight[some], None if bias is None else bias[some])
        for name, some in zip(names, chosen, strict=True)
    }


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
