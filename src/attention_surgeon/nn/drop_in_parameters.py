"""The parameters of `nn.MultiheadAttention` in the form in which they are given, and what they do to the heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.nn.drop_in_checks import CALLER, check_agrees
from attention_surgeon.ops import merge_heads, split_heads
from attention_surgeon.require import require_tensor


@final
@dataclass(frozen=True)
class Parameters:
    """Projections and learned keys; every method computes in the dtype of the heads or inputs it is given.

    Attributes:
        packed: `(3 * embed_dim, embed_dim)`, used if `separate` is None.
        separate: Projections of query, key and value, `(embed_dim, width)` each.
        in_bias: `(3 * embed_dim,)` or None.
        bias_k: `(1, 1, embed_dim)`, a learned key, or None.
        bias_v: Its value.
        out_weight: `(embed_dim, embed_dim)`.
        out_bias: `(embed_dim,)` or None.
    """

    packed: Tensor | None
    separate: tuple[Tensor | None, Tensor | None, Tensor | None] | None
    in_bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None

    def check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Check that they fit each other and what is to be projected.

        Raises:
            ArgumentTypeError, DTypeError, DeviceError, OptionError, ShapeError: with the way out.
        """
        width = query.shape[-1]
        shapes: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {
            "out_proj_weight": (self.out_weight, (width, width))
        }
        if self.separate is None:
            _check_packed_widths(key, value, width)
            shapes["in_proj_weight"] = (self.packed, (3 * width, width))
        else:
            for name, weight, x in zip("qkv", self.separate, (query, key, value), strict=True):
                shapes[f"{name}_proj_weight"] = (weight, (width, x.shape[-1]))
        for name, (weight, shape) in shapes.items():
            require_tensor(weight, name, CALLER)
            _check_parameter(name, weight, shape, query)
        _check_parameter("in_proj_bias", self.in_bias, (3 * width,), query, is_added=True)
        _check_parameter("out_proj_bias", self.out_bias, (width,), query, is_added=True)
        _check_parameter("bias_k", self.bias_k, (1, 1, width), query)
        _check_parameter("bias_v", self.bias_v, (1, 1, width), query)
        if (self.bias_k is None) != (self.bias_v is None):
            given, missing = ("bias_v", "bias_k") if self.bias_k is None else ("bias_k", "bias_v")
            raise OptionError(f"{CALLER}: {given} is given but {missing} is None; an added key needs an added value.")

    def project(self, inputs: Sequence[Tensor], num_heads: int) -> list[Tensor]:
        """Project query, key and value `(batch, n, width)` to Q, K and V `(batch, heads, n, size)`."""
        dtype = inputs[0].dtype
        biases = (None,) * 3 if self.in_bias is None else self.in_bias.to(dtype).chunk(3)
        told = zip(inputs, self._in_weights(), biases, strict=True)
        return [split_heads(F.linear(x, weight.to(dtype), bias), num_heads) for x, weight, bias in told]

    def add_keys(self, keys: Tensor, values: Tensor, add_zero_attn: bool) -> list[Tensor]:
        """Put the learned key and value, then those of zeros, behind the others `(batch, heads, n, size)`."""
        made = []
        for heads, learned in ((keys, self.bias_k), (values, self.bias_v)):
            if learned is not None:
                one = split_heads(learned.to(heads.dtype), heads.shape[1])  # (1, 1, embed) -> (1, heads, 1, size)
                heads = torch.cat([heads, one.expand(heads.shape[0], -1, -1, -1)], dim=-2)
            made.append(F.pad(heads, (0, 0, 0, 1)) if add_zero_attn else heads)
        return made

    def merge(self, heads: Tensor) -> Tensor:
        """Merge the heads `(batch, heads, n, size)` and project them to the output `(n, batch, embed_dim)`.

        In this order of memory PyTorch leaves its output too, also with `batch_first`; a dropout behind the layer
        draws in that order.
        """
        bias = None if self.out_bias is None else self.out_bias.to(heads.dtype)
        return F.linear(merge_heads(heads).transpose(0, 1).contiguous(), self.out_weight.to(heads.dtype), bias)

    def _in_weights(self) -> Sequence[Tensor]:
        weights = self.separate
        if weights is None:
            assert self.packed is not None  # `check` has refused None
            return self.packed.chunk(3)
        return [weight for weight in weights if weight is not None]


def _check_packed_widths(key: Tensor, value: Tensor, width: int) -> None:
    for name, x in (("key", key), ("value", value)):
        if x.shape[-1] != width:
            raise ShapeError(
                f"{CALLER}: {name} has shape {tuple(x.shape)}, expected width {width}, the embed_dim; "
                f"other widths are said with kdim and vdim when the module is made."
            )


def _check_parameter(
    name: str, parameter: Tensor | None, expected: tuple[int, ...], query: Tensor, *, is_added: bool = False
) -> None:
    if parameter is None:
        return
    require_tensor(parameter, name, CALLER)
    if parameter.shape != expected:
        raise ShapeError(f"{CALLER}: {name} has shape {tuple(parameter.shape)}, expected {expected}.")
    check_agrees(name, parameter, query, is_added=is_added)
