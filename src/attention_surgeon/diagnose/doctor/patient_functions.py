"""Functions that run a circuit: attention in torch and in NumPy, softmax, statistics."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.diagnose.doctor.patient_masks import read_mask
from attention_surgeon.ops import Circuit, Operands

Target: TypeAlias = Callable[..., Any]
Build: TypeAlias = Callable[[Circuit], Target]


def _attend(circuit: Circuit, operands: Sequence[Tensor], mask: Tensor | None, meaning: Any, scale: bool) -> Any:
    """Run the circuit in float32 at least, and round to the dtype that came in."""
    dtype = operands[0].dtype
    query, key, value = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in operands)
    allowed, bias = read_mask(mask, meaning)
    first, second = circuit.run(Operands(query, key, value, allowed, bias, dtype), scale=scale)
    return first.to(dtype), second.to(dtype)


def make_attention(meaning: str) -> Build:
    """Return what makes an attention function in torch whose mask means this."""

    def build(circuit: Circuit) -> Target:
        def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, scale: bool = True) -> Any:
            return _attend(circuit, (Q, K, V), mask, meaning, scale)

        return attention

    return build


def make_numpy_attention(meaning: str) -> Build:
    """Return what makes an attention function of arrays."""

    def build(circuit: Circuit) -> Target:
        def attention(Q: Any, K: Any, V: Any, mask: Any = None, scale: bool = True) -> Any:
            tensors = [torch.from_numpy(x) for x in (Q, K, V)]
            given = None if mask is None else torch.from_numpy(mask)
            return tuple(x.numpy() for x in _attend(circuit, tensors, given, meaning, scale))

        return attention

    return build


def make_causal_attention(circuit: Circuit) -> Target:
    """Return an attention function without a mask argument."""

    def attention(Q: Tensor, K: Tensor, V: Tensor) -> Any:
        return _attend(circuit, (Q, K, V), None, "keep", True)

    return attention


def as_in_transformers(attention: Target) -> Target:
    """Return the same function as models of Hugging Face transformers call it."""

    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any) -> Any:
        output, weights = attention(query, key, value, attention_mask)
        return output.transpose(1, 2), weights  # (b, h, n, d) -> (b, n, h, d)

    return forward


def make_softmax(circuit: Circuit) -> Target:
    """Let the circuit score √d x against unit vectors; as values, they gather the weights themselves."""

    def softmax(x: Tensor) -> Tensor:
        eye = torch.eye(x.shape[-1], dtype=x.dtype)
        key = eye.expand(*x.shape[:-2], *eye.shape)
        return circuit.steps(Operands(x * x.shape[-1] ** 0.5, key, key, None, None, x.dtype)).output

    return softmax


def make_statistics(circuit: Circuit) -> Target:
    """Return a function of weights that gives the circuit's four numbers."""
    return lambda weights: {name: number.item() for name, number in circuit.measure(weights).items()}
