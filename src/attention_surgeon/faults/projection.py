"""Projection: the linear layers before and after the five steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import LAYERS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Linears

_INPUT_ROLES = ("query", "key", "value")


class Affine(Protocol):
    """What is read of a projection, under the names of `nn.Linear`.

    Attributes:
        weight: `(out, in)`, or None for a projection that is not there.
        bias: `(out,)`, or None.
    """

    weight: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True)
class Projection:
    """A projection made of tensors that are there already."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """Return `x weightᵀ + bias`."""
        return nn.functional.linear(x, self.weight, self.bias)


def _change_linears(change: Callable[[Linears], Linears]) -> Operation:
    """Return the operation after which the layer projects with other matrices."""

    def operation(circuit: Circuit) -> Circuit:
        usual = circuit.project

        def project(x: Tensor, role: str, linears: Linears) -> Tensor:
            return usual(x, role, change(linears))

        return circuit.replace(project=project)

    return operation


def _without_bias(*roles: str) -> Callable[[Linears], Linears]:
    def change(linears: Linears) -> Linears:
        changed = dict(linears)
        for role in roles:
            linear = cast(Affine, linears[role])
            if getattr(linear, "weight", None) is not None:
                changed[role] = Projection(cast(Tensor, linear.weight), None)
        return changed

    return change


def _without_output(linears: Linears) -> Linears:
    return {**linears, "output": nn.Identity()}


def _transposed(linears: Linears) -> Linears:
    changed = dict(linears)
    for role, linear in linears.items():
        weight = getattr(linear, "weight", None)
        if weight is not None:
            changed[role] = Projection(weight.T, cast(Affine, linear).bias)
    return changed


def _shared(linears: Linears) -> Linears:
    return {**linears, **dict.fromkeys(_INPUT_ROLES, linears["query"])}


def _add_input(layer: Callable[..., Any]) -> Callable[..., Any]:
    def layer_plus_input(x: Any, *args: Any, **kwargs: Any) -> Any:
        returned = layer(x, *args, **kwargs)
        if isinstance(returned, tuple):
            return returned[0] + x, *returned[1:]
        return returned + x

    return layer_plus_input


FAULTS: tuple[Fault, ...] = (
    draft(
        "bias_dropped",
        "projection",
        LAYERS,
        "The biases of query, key and value are not added.",
        _change_linears(_without_bias(*_INPUT_ROLES)),
        wraps=True,
    ),
    draft(
        "output_projection_missing",
        "projection",
        LAYERS,
        "The output projection is not applied.",
        _change_linears(_without_output),
        wraps=True,
    ),
    draft(
        "output_bias_dropped",
        "projection",
        LAYERS,
        "The bias of the output projection is not added.",
        _change_linears(_without_bias("output")),
        wraps=True,
    ),
    draft(
        "projection_transposed",
        "projection",
        LAYERS,
        "x W is computed with W as it is stored, instead of x Wᵀ.",
        _change_linears(_transposed),
        wraps=True,
    ),
    draft(
        "projection_shared",
        "projection",
        LAYERS,
        "One projection serves for query, key and value.",
        _change_linears(_shared),
        wraps=True,
    ),
    draft(
        "residual_added_to_layer",
        "projection",
        LAYERS,
        "The input is added to the output of the layer.",
        None,
        wrap=_add_input,
    ),
)
