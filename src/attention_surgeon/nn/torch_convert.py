"""Between our layers and `torch.nn.MultiheadAttention`: the same function, other parameters.

What one side lacks moves into a projection that both have:

    no scale         softmax(q·k) = softmax(√d q · k / √d)                 the query projection takes the factor
    no output layer  (P V) W_oᵀ + b_o = P (V W_oᵀ + b_o), rows of P sum to 1        the value projection takes it
    shared heads     one key head for g query heads = g equal key heads     the projections' rows are repeated
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import ArgumentTypeError, ConversionError
from attention_surgeon.ops import Circuit, Mechanism, leave_unscaled, share_heads, working_dtype
from attention_surgeon.require import kind_of

if TYPE_CHECKING:

    class Convertible(Protocol):
        """What the conversion reads of a layer; the layers import this file, so it cannot name them."""

        embed_dim: int
        context_dim: int
        num_heads: int
        num_kv_heads: int
        dropout: float
        circuit: Circuit
        query: nn.Linear
        key: nn.Linear
        value: nn.Linear
        output: nn.Linear | nn.Identity
        training: bool

        @property
        def head_dim(self) -> int:
            """d_k."""
            ...

        def to(self, like: Tensor, /) -> nn.Module:
            """Move the layer to the device and the dtype of a tensor."""
            ...

else:
    Convertible = nn.Module  # since Python 3.12 a check of a protocol does not see what a module holds


@final
@dataclass(frozen=True)
class Affine:
    """`x Wᵀ + b`, detached: what a projection computes, apart from the module that holds it."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, linear: nn.Linear) -> "Affine":
        """Return what `linear` computes."""
        return cls(linear.weight.detach(), None if linear.bias is None else linear.bias.detach())

    def times(self, factor: float) -> "Affine":
        """Return the map with its result multiplied by `factor`."""
        return Affine(self.weight * factor, None if self.bias is None else self.bias * factor)

    def then(self, after: "Affine") -> "Affine":
        """Return both maps as one, computed one precision up."""
        dtype = working_dtype(self.weight.dtype, self.weight.device)
        outer = after.weight.to(dtype)
        bias = None if self.bias is None else outer @ self.bias.to(dtype)
        if bias is not None and after.bias is not None:
            bias = bias + after.bias.to(dtype)
        weight = outer @ self.weight.to(dtype)  # (out, middle) @ (middle, in) -> (out, in)
        return Affine(weight.to(self.weight.dtype), None if bias is None else bias.to(self.weight.dtype))

    def by_head(self, num_heads: int) -> tuple[Tensor, Tensor | None]:
        """Return weight `(heads, size, in)` and bias `(heads, size)`."""
        bias = None if self.bias is None else self.bias.unflatten(0, (num_heads, -1))
        return self.weight.unflatten(0, (num_heads, -1)), bias

    def share(self, num_kv_heads: int, num_heads: int) -> "Affine":
        """Return the map with each of its heads repeated for the query heads that it serves."""
        weight, bias = self.by_head(num_kv_heads)
        bias = None if bias is None else share_heads(bias.unsqueeze(-1), num_heads).flatten()
        return Affine(share_heads(weight, num_heads).flatten(0, 1), bias)

    def unshare(self, num_kv_heads: int, num_heads: int) -> "Affine | None":
        """Undo `share`; None if the heads of a group are not equal."""
        if num_kv_heads == num_heads:
            return self
        weight, bias = self.by_head(num_heads)
        first = slice(None, None, num_heads // num_kv_heads)
        kept = Affine(weight[first].flatten(0, 1), None if bias is None else bias[first].flatten())
        again = kept.share(num_kv_heads, num_heads)
        return kept if _equal(again.weight, self.weight) and _equal(again.bias, self.bias) else None

    @torch.no_grad()
    def copy_to(self, weight: Tensor, bias: Tensor | None) -> None:
        """Write the numbers into parameters."""
        weight.copy_(self.weight)
        if bias is not None:
            bias.copy_(torch.zeros_like(bias) if self.bias is None else self.bias)


def check_source(module: nn.MultiheadAttention, caller: str, one_head: bool = False) -> None:
    """Refuse what no layer of ours can compute, before one is made.

    Raises:
        ArgumentTypeError: no `torch.nn.MultiheadAttention`.
        ConversionError: added keys, different widths of key and value, or several heads where one is wanted.
    """
    if not isinstance(module, nn.MultiheadAttention):
        raise ArgumentTypeError(
            f"{caller}.from_torch: module is {kind_of(module)}, expected a torch.nn.MultiheadAttention."
        )
    if module.bias_k is not None or module.add_zero_attn:
        raise ConversionError(
            f"{caller}.from_torch: the module adds a key of its own (add_bias_kv or add_zero_attn), which this layer "
            f"cannot; use MultiheadAttention.from_torch."
        )
    if module.kdim != module.vdim:
        raise ConversionError(
            f"{caller}.from_torch: kdim is {module.kdim} and vdim {module.vdim}, but this layer makes keys and values "
            f"from the same context; use MultiheadAttention.from_torch."
        )
    if one_head and module.num_heads != 1:
        raise ConversionError(
            f"{caller}.from_torch: the module has {module.num_heads} heads and this layer has one; "
            f"use MultiHeadAttention.from_torch."
        )


def fill_from_torch(layer: Convertible, module: nn.MultiheadAttention) -> None:
    """Copy the parameters of `module` into a new layer, so that it computes the same.

    Raises:
        ConversionError: no parameters of `layer` compute what `module` does.
    """
    caller = type(layer).__name__
    if module.kdim != layer.context_dim:
        raise ConversionError(
            f"{caller}.from_torch: kdim is {module.kdim} and embed_dim {module.embed_dim}, but this layer makes keys "
            f"from its own input; use CrossAttention.from_torch."
        )
    layer.to(module.out_proj.weight).train(module.training)
    query, key, value = _in_projections(module)
    output = Affine.of(module.out_proj)
    if isinstance(layer.output, nn.Linear):
        output.copy_to(layer.output.weight, layer.output.bias)
    else:
        _check_dropout_commutes(layer, module)
        value = value.then(output)
    query.times(1 / _query_factor(layer)).copy_to(layer.query.weight, layer.query.bias)
    for name, whole, target in (("key", key, layer.key), ("value", value, layer.value)):
        shared = whole.unshare(layer.num_kv_heads, layer.num_heads)
        if shared is None:
            raise ConversionError(
                f"{caller}.from_torch: in groups of {layer.num_heads // layer.num_kv_heads}, the module's {name} heads "
                f"are not equal, so none can serve for all; use MultiHeadAttention.from_torch."
            )
        shared.copy_to(target.weight, target.bias)


def to_torch(layer: Convertible) -> nn.MultiheadAttention:
    """Return a `torch.nn.MultiheadAttention(batch_first=True)` that computes what `layer` computes.

    Raises:
        ConversionError: the mechanism has a step that PyTorch's does not.
    """
    module = nn.MultiheadAttention(
        layer.embed_dim,
        layer.num_heads,
        dropout=layer.dropout,
        bias=layer.query.bias is not None,
        kdim=layer.context_dim,
        vdim=layer.context_dim,
        batch_first=True,
        device=layer.query.weight.device,
        dtype=layer.query.weight.dtype,
    )
    heads = (layer.num_kv_heads, layer.num_heads)
    parts = (
        Affine.of(layer.query).times(_query_factor(layer)),
        Affine.of(layer.key).share(*heads),
        Affine.of(layer.value).share(*heads),
    )
    for part, (weight, bias) in zip(parts, _in_parameters(module), strict=True):
        part.copy_to(weight, bias)
    merged = layer.output
    output = Affine.of(merged) if isinstance(merged, nn.Linear) else Affine(torch.eye(layer.embed_dim), None)
    output.copy_to(module.out_proj.weight, module.out_proj.bias)
    return module.train(layer.training)


def _in_parameters(module: nn.MultiheadAttention) -> list[tuple[Tensor, Tensor | None]]:
    """Return (weight, bias) of the query, key and value projections, views of the packed ones."""
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.detach().chunk(3)
    else:
        separate = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        weights = tuple(weight.detach() for weight in separate)
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.detach().chunk(3)
    return list(zip(weights, biases, strict=True))


def _in_projections(module: nn.MultiheadAttention) -> list[Affine]:
    return [Affine(weight, bias) for weight, bias in _in_parameters(module)]


def _query_factor(layer: Convertible) -> float:
    """Return the factor by which PyTorch's query projection exceeds the layer's."""
    if layer.circuit == Circuit():
        return 1.0
    if layer.circuit == Circuit(Mechanism(scale=leave_unscaled)):
        return math.sqrt(layer.head_dim)
    raise ConversionError(
        f"{type(layer).__name__}.to_torch: PyTorch has no counterpart of {', '.join(layer.circuit.changed())}; "
        f"set layer.circuit = Circuit() first."
    )


def _check_dropout_commutes(layer: Convertible, module: nn.MultiheadAttention) -> None:
    """Refuse dropout in front of an output bias: dropped rows do not sum to 1, so the bias cannot join the values."""
    bias = module.out_proj.bias
    lost = module.dropout != layer.dropout
    if lost or (module.dropout > 0 and bias is not None and bool(bias.detach().any())):
        raise ConversionError(
            f"{type(layer).__name__}.from_torch: the module has dropout {module.dropout} and an output projection, "
            f"which this layer lacks; in training they would differ. Set module.dropout = 0.0 first, "
            f"or use MultiHeadAttention.from_torch."
        )


def _equal(left: Tensor | None, right: Tensor | None) -> bool:
    return left is right or (left is not None and right is not None and torch.equal(left, right))
