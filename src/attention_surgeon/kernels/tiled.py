"""Attention in tiles: the same answer as `ops.attention`, in memory that grows with n, not with n²."""

import math
from typing import Any, Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from attention_surgeon.kernels.backward import backward_pass
from attention_surgeon.kernels.forward import ForwardResult, forward_pass
from attention_surgeon.kernels.operands import read_operands
from attention_surgeon.kernels.problem import Problem
from attention_surgeon.kernels.visible import LOG2_E
from attention_surgeon.kernels.workers import workers_for
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import require_probability, require_switch

_CALLER = "tiled_attention"


@overload
def tiled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None = ...,
    *,
    scale: bool | int | float = ...,
    dropout: int | float = ...,
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
    scale: bool | int | float = ...,
    dropout: int | float = ...,
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
    scale: bool | int | float = True,
    dropout: int | float = 0.0,
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
    require_switch(return_logsumexp, "return_logsumexp", _CALLER)
    require_probability(dropout, "dropout", _CALLER)
    given = read_operands(query, key, value, mask, scale, use_shared_heads, _CALLER)
    problem = Problem(
        given.query,
        given.key,
        given.value,
        given.kv_of,
        given.visible,
        given.mask_of,
        factor=given.scale * LOG2_E,
        dropout=float(dropout),
        seed=int(torch.randint(2**62, (), generator=generator)) if dropout else 0,
        coarsest=torch.finfo(query.dtype).eps,
    )
    output, logsumexp = _TiledAttention.apply(given.query, given.key, given.value, given.bias, problem)
    output = given.unfold(output).to(query.dtype)
    return (output, given.unfold(logsumexp)) if return_logsumexp else output


class _TiledAttention(torch.autograd.Function):
    """The two passes as one function of autograd."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, problem: Problem
    ) -> tuple[Tensor, Tensor]:
        with workers_for(query.device, math.prod(problem.sizes)) as workers:
            made = forward_pass(problem, workers)
            logsumexp = made.logsumexp().to(query.dtype)
        ctx.problem = problem
        ctx.save_for_backward(query, key, value, bias, *made)
        ctx.set_materialize_grads(False)
        return made.output, logsumexp

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_output: Tensor | None, grad_logsumexp: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        *_, bias, output, shift, total = ctx.saved_tensors
        if grad_output is None:
            grad_output = torch.zeros_like(output)
        made = ForwardResult(output, shift, total)
        with workers_for(output.device, math.prod(ctx.problem.sizes) if bias is None else 0) as workers:
            grads = backward_pass(ctx.problem, made, grad_output, grad_logsumexp, bias, workers)
        grad_bias = None if bias is None or grads.bias is None else grads.bias.to(bias.dtype)
        return grads.query, grads.key, grads.value, grad_bias, None
