"""Layers whose forward runs a circuit: a fault in the circuit is a fault of the layer, and nothing else is wrong."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attention_surgeon.diagnose.doctor.patient_masks import read_mask
from attention_surgeon.faults import Wrapping
from attention_surgeon.ops import Circuit, Linears, Operands, attention_dropout
from attention_surgeon.testing.function_cases import MaskMeaning
from attention_surgeon.testing.layer.parameters import Affine

_PACKED = ("query", "key", "value")


@dataclass(frozen=True)
class LayerPlan:
    """What a patient layer is made of.

    Attributes:
        kind: Of `LayerContract`.
        mask: What a mask means to it.
        is_packed: Whether query, key and value come out of one matrix.
        drops_rescaled: Whether what dropout leaves in training is made larger.
    """

    kind: str
    mask: MaskMeaning = "keep"
    is_packed: bool = False
    drops_rescaled: bool = True


def make_layer(plan: LayerPlan, circuit: Circuit, wrappings: Sequence[Wrapping] = ()) -> type[nn.Module]:
    """Return a class of layers that run the circuit, their forward wrapped."""
    forward = functools.reduce(_wrapped, wrappings, _FORWARDS.get(plan.kind, _forward_masked))
    return type(f"{plan.kind.title()}Patient", (_Layer,), {"plan": plan, "circuit": circuit, "forward": forward})


class _Layer(nn.Module):
    """Projections, and the circuit between them; every kind of layer adds its own forward."""

    plan: ClassVar[LayerPlan]
    circuit: ClassVar[Circuit]

    def __init__(self, embed_dim: int, num_heads: int, num_kv_heads: int, dropout: float = 0.1) -> None:
        """Build for any of the kinds: those with one head are told so."""
        super().__init__()
        self.num_heads, self.num_kv_heads, self.dropout = num_heads, num_kv_heads, dropout
        shared = embed_dim // num_heads * num_kv_heads
        if self.plan.is_packed:
            self.in_proj = nn.Linear(embed_dim, embed_dim + 2 * shared)
        else:
            self.query = nn.Linear(embed_dim, embed_dim)
            self.key = nn.Linear(embed_dim, shared)
            self.value = nn.Linear(embed_dim, shared)
        self.output = nn.Identity() if self.plan.kind == "simple" else nn.Linear(embed_dim, embed_dim)

    def attend(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the circuit: `(output, weights)`."""
        circuit, linears = self._circuit(), self._linears()
        query, key, value = circuit.heads(x, context, linears, num_heads=self.num_heads, num_kv_heads=self.num_kv_heads)
        allowed, bias = read_mask(mask, self.plan.mask)
        operands = Operands(query, key, value, allowed, bias, x.dtype, model_size=x.shape[-1])
        gathered, weights = circuit.run(operands)
        if self.num_heads == 1 and weights.ndim == 4:
            weights = weights.squeeze(1)  # (b, 1, n, n) -> (b, n, n): one head has no axis of heads
        return circuit.finish(x, gathered, linears), weights

    def _linears(self) -> Linears:
        if not self.plan.is_packed:
            return {"query": self.query, "key": self.key, "value": self.value, "output": self.output}
        parts = zip(_PACKED, self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3), strict=True)
        return {"output": self.output, **{role: Affine(weight, bias) for role, weight, bias in parts}}

    def _circuit(self) -> Circuit:
        """Return the circuit, in training with dropout behind whatever normalises."""
        usual, p = self.circuit.mechanism.normalise, self.dropout
        if not self.training or not p:
            return self.circuit
        drop: Callable[[Tensor], Tensor] = functools.partial(attention_dropout, p=p)
        if not self.plan.drops_rescaled:
            drop = functools.partial(_cut, p=p)
        return self.circuit.replace(normalise=lambda masked, operands: drop(usual(masked, operands)))


def _cut(weights: Tensor, p: float) -> Tensor:
    return weights * torch.empty_like(weights).bernoulli_(1 - p)


def _forward_alone(self: _Layer, x: Tensor) -> tuple[Tensor, Tensor]:
    return self.attend(x, x)


def _forward_masked(self: _Layer, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return self.attend(x, x, mask)


def _forward_cross(self: _Layer, x: Tensor, context: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return self.attend(x, context, mask)


_FORWARDS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {"simple": _forward_alone, "causal_multihead": _forward_alone, "cross": _forward_cross}
)


def _wrapped(forward: Callable[..., Any], wrapping: Wrapping) -> Callable[..., Any]:
    """Return a forward whose first input, not the layer, is what the wrapping sees first."""
    without_self = wrapping(lambda x, *rest, self, **named: forward(self, x, *rest, **named))

    @functools.wraps(forward)
    def wrapped(self: _Layer, *inputs: Any, **named: Any) -> Any:
        return without_self(*inputs, self=self, **named)

    return wrapped
