"""Attention in tiles: the same answer as `ops.attention`, in memory that grows with n, not with n²."""

import math
from typing import Any, Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.kernels.backward import spread_gradient
from attention_surgeon.kernels.forward import Gathered, gather
from attention_surgeon.kernels.problem import Problem, own_positions
from attention_surgeon.kernels.visible import LOG2_E, read_visible
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import broadcast_shape, require_operands, require_switch

_CALLER = "tiled_attention"
_WORKING = {
    torch.float64: torch.float64,
    **dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), torch.float32),
}


@overload
def tiled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None = ...,
    *,
    scale: bool | float = ...,
    dropout: float = ...,
    generator: torch.Generator | None = ...,
    use_shared_heads: bool = ...,
    return_logsumexp: Literal[False] = ...,
) -> Tensor: ...
@overload
def tiled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None = ...,
    *,
    scale: bool | float = ...,
    dropout: float = ...,
    generator: torch.Generator | None = ...,
    use_shared_heads: bool = ...,
    return_logsumexp: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def tiled_attention(
    query: Float[Tensor, "*_batch q d"],
    key: Float[Tensor, "*_rest k d"],
    value: Float[Tensor, "*_others k v"],
    mask: MaskLike | None = None,
    *,
    scale: bool | float = True,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    use_shared_heads: bool = False,
    return_logsumexp: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the output of attention without ever holding its n_q x n_k weights.

    Source: Dao et al. 2022, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness";
    `docs/kernels.md` derives it step by step.

    Args:
        query: `(*batch, n_q, d_k)`, float64, float32, bfloat16 or float16.
        key: `(*batch, n_k, d_k)`; batch axes equal or broadcastable, and never repeated in memory.
        value: `(*batch, n_k, d_v)`.
        mask: As for `ops.attention`: boolean or 0/1, True = may attend; floating, added to the scores; or a mask of
            `attention_surgeon.masks`, whose empty blocks cost nothing and of which only mixed blocks are written out.
        scale: True: scores are divided by √d_k; False: they are not; a number: they are multiplied by it.
        dropout: Probability in [0, 1] with which a weight is dropped; the others are divided by `1 - dropout`.
        generator: Where the seed of the draws comes from (on the CPU); None: PyTorch's global generator.
        use_shared_heads: Whether the heads of key and value (axis -3) are fewer than those of query and each serves a
            group of neighbours (Ainslie et al. 2023, grouped queries).
        return_logsumexp: Whether to return `(output, logsumexp)`.

    Returns:
        output `(*batch, n_q, d_v)` in the dtype of query; 0 for a query without keys. The log-sum-exp of the scaled and
        masked scores, `(*batch, n_q)` in the dtype of the sums (float64 for float64, else float32); `-inf` for a query
        without keys. Both are differentiable, once.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, MaskError, OptionError, ShapeError: with the way out.

    Differs from `ops.attention`: float32 is summed in float32 (scores so large that this would show, in float64), no
    weights are returned, and hidden keys and values may be NaN.

    >>> Q, K, V = torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([[10.0], [0.0]])
    >>> tiled_attention(Q, K, V)                     # softmax(1/√2, 0) · (10, 0)
    tensor([[6.6976]])
    >>> from attention_surgeon.masks import causal_mask
    >>> Q = K = V = torch.ones(2, 3, 4096, 8)
    >>> tiled_attention(Q, K, V, causal_mask(4096)).shape
    torch.Size([2, 3, 4096, 8])
    """
    require_switch(use_shared_heads, "use_shared_heads", _CALLER)
    require_switch(return_logsumexp, "return_logsumexp", _CALLER)
    query_heads, key_heads, value_heads = (query, key, value)
    if use_shared_heads:
        query_heads, key_heads, value_heads = _in_groups(query, key, value)
    otherwise = "fewer heads of K and V than of Q are shared with use_shared_heads=True"
    groups = require_operands(query_heads, key_heads, value_heads, _CALLER, otherwise)
    batch = (*groups[:-2], groups[-2] * groups[-1]) if use_shared_heads else groups
    dtype = _working_dtype(query.dtype)
    visible = read_visible(mask, (*batch, query.shape[-2], key.shape[-2]), query.device, _CALLER)
    kv_batch = broadcast_shape(key_heads.shape[:-2], value_heads.shape[:-2])
    assert kv_batch is not None  # they go together, so these two do
    units = query_heads.expand(*groups, -1, -1).flatten(0, -3) if groups else query_heads[None]
    problem = Problem(
        query=units.to(dtype),
        key=_flat(key_heads, kv_batch).to(dtype),
        value=_flat(value_heads, kv_batch).to(dtype),
        kv_of=own_positions(kv_batch, groups),
        visible=visible,
        mask_of=[0] * math.prod(batch) if visible is None else own_positions(visible.shape[:-2], batch),
        factor=_factor(scale, query.shape[-1]) * LOG2_E,
        dropout=_probability(dropout),
        seed=_seed(generator) if dropout else 0,
        coarsest=torch.finfo(query.dtype).eps,
    )
    bias = mask if isinstance(mask, Tensor) and mask.is_floating_point() and mask.requires_grad else None
    output, logsumexp = _TiledAttention.apply(problem.query, problem.key, problem.value, bias, problem)
    output = output.reshape(*batch, *output.shape[-2:]).to(query.dtype)
    return (output, logsumexp.reshape(*batch, -1)) if return_logsumexp else output


class _TiledAttention(torch.autograd.Function):
    """The two passes as one function of autograd."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, problem: Problem
    ) -> tuple[Tensor, Tensor]:
        made = gather(problem)
        ctx.problem = problem
        ctx.save_for_backward(query, key, value, bias, *made)
        ctx.set_materialize_grads(False)
        return made.output, made.logsumexp().to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor | None, grad_logsumexp: Tensor | None) -> tuple[Tensor | None, ...]:
        *_, bias, output, shift, total = ctx.saved_tensors
        if grad_output is None:
            grad_output = torch.zeros_like(output)
        made = Gathered(output, shift, total)
        grads = spread_gradient(ctx.problem, made, grad_output, grad_logsumexp, bias)
        grad_bias = None if grads.bias is None else grads.bias.to(bias.dtype)
        return grads.query, grads.key, grads.value, grad_bias, None


def _in_groups(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    for name, x in (("Q", query), ("K", key), ("V", value)):
        if x.ndim < 3:
            raise ShapeError(
                f"{_CALLER}: {name} has shape {tuple(x.shape)}; use_shared_heads=True needs a head axis, "
                f"(*batch, heads, n, size)."
            )
    heads, shared = query.shape[-3], key.shape[-3]
    if value.shape[-3] != shared or shared == 0 or heads % shared:
        raise ShapeError(
            f"{_CALLER}: {shared} heads of K and {value.shape[-3]} of V cannot be shared evenly among {heads} heads of "
            f"Q (axis -3): K and V need the same number, a divisor of {heads}."
        )
    apart = query.unflatten(-3, (shared, heads // shared))  # (..., heads, q, d) -> (..., shared, group, q, d)
    return apart, key.unsqueeze(-3), value.unsqueeze(-3)


def _flat(x: Tensor, batch: tuple[int, ...]) -> Tensor:
    return x.expand(*batch, -1, -1).flatten(0, -3) if batch else x[None]


def _working_dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype not in _WORKING:
        names = ", ".join(str(known).removeprefix("torch.") for known in _WORKING)
        raise DTypeError(
            f"{_CALLER}: no sums in {dtype}: the dtypes to compute in are {names}; use .to(torch.float32)."
        )
    return _WORKING[dtype]


def _factor(scale: bool | float, key_size: int) -> float:
    if isinstance(scale, bool):
        return 1 / math.sqrt(key_size) if scale else 1.0
    if not isinstance(scale, int | float):
        raise ArgumentTypeError(f"{_CALLER}: scale is {scale!r}, expected True, False or a number.")
    if not math.isfinite(scale):
        raise OptionError(f"{_CALLER}: scale is {scale}, expected a finite number.")
    return float(scale)


def _probability(dropout: float) -> float:
    if not isinstance(dropout, int | float) or isinstance(dropout, bool):
        raise ArgumentTypeError(f"{_CALLER}: dropout is {dropout!r}, expected a number from 0 to 1.")
    if not 0 <= dropout <= 1:
        raise OptionError(f"{_CALLER}: dropout is {dropout}, expected a probability from 0 to 1.")
    return float(dropout)


def _seed(generator: torch.Generator | None) -> int:
    return int(torch.randint(2**62, (), generator=generator))
