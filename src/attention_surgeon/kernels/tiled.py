"""Attention in tiles: the same answer as `ops.attention`, in memory that grows with n, not with n²."""

from typing import Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.kernels.autograd import attend
from attention_surgeon.kernels.operands import read_operands
from attention_surgeon.kernels.plain import plain_attention
from attention_surgeon.kernels.problem import EXACT_ABOVE
from attention_surgeon.kernels.traced import has_no_numbers, traced_attention
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import refuse_torchscript, require_probability, require_switch, require_tensor

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
        without keys. Both are differentiable twice, also by `torch.func`; a third derivative is refused.

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
    require_tensor(query, "Q", _CALLER)
    if has_no_numbers(query):
        options = {"scale": scale, "dropout": dropout, "use_shared_heads": use_shared_heads}
        output, logsumexp = traced_attention(query, key, value, mask, generator=generator, **options)
        return (output, logsumexp) if return_logsumexp else output
    if mask is None and scale is True and not dropout and not use_shared_heads and not return_logsumexp:
        output = plain_attention(query, key, value, EXACT_ABOVE)
        if output is not None:
            return output
    given = read_operands(query, key, value, mask, scale, use_shared_heads, _CALLER)
    seed = _draw_seed(generator) if dropout else 0
    plan = given.plan(query.dtype, float(dropout), seed, _CALLER, wants_logsumexp=return_logsumexp)
    output, logsumexp, *_ = attend(*given.tensors(), plan)
    output = given.unfold(output).to(query.dtype)
    return (output, given.unfold(logsumexp)) if return_logsumexp else output


setattr(tiled_attention, "__prepare_scriptable__", refuse_torchscript(_CALLER))  # noqa: B010


def _draw_seed(generator: torch.Generator | None) -> int:
    try:
        return int(torch.randint(2**62, (), generator=generator))
    except RuntimeError as error:  # torch.vmap lets nobody look at a number that is drawn
        raise OptionError(
            f"{_CALLER}: the seed of the dropout cannot be drawn here ({str(error).splitlines()[0]}); set dropout=0."
        ) from None
