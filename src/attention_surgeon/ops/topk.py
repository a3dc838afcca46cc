"""Top-k attention: each query attends only to its k best keys."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.ops.operands import MaskLike, Operands
from attention_surgeon.ops.steps import Mechanism, Step, add_bias_and_hide, leave_unscaled, named_step
from attention_surgeon.require import require_count, require_switch


def topk_attention(
    Q: Float[Tensor, "*_batch q d"],
    K: Float[Tensor, "*_batch k d"],
    V: Float[Tensor, "*_batch k v"],
    k: int,
    mask: MaskLike | None = None,
    scale: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return `(output, weights)` of attention in which each query keeps only its `k` highest scores.

    Source: Gupta et al. 2021, "Memory-efficient Transformers via Top-k Attention". The weights of the kept keys
    are renormalised, because the others are hidden before the softmax.

    Args:
        Q: Query `(*batch, n_q, d_k)`.
        K: Key `(*batch, n_k, d_k)`.
        V: Value `(*batch, n_k, d_v)`.
        k: Keys per query, at least 1. With fewer keys to attend to, all of them are kept. Among equal scores
            the key that comes first wins.
        mask: As for `attention`; hidden keys never count among the k.
        scale: Whether to divide by √d_k.

    Raises:
        ArgumentTypeError, OptionError: `k` is no positive integer, or `scale` no boolean; else as `attention`.

    >>> scores = torch.tensor([[3.0, 1.0, 2.0]])
    >>> topk_attention(scores, torch.eye(3), torch.eye(3), k=2, scale=False)[1]
    tensor([[0.7311, 0.0000, 0.2689]])
    """
    require_switch(scale, "scale", "topk_attention")
    mechanism = Mechanism(mask=keep_top_k(k))
    if not scale:
        mechanism = mechanism.replace(scale=leave_unscaled)
    return mechanism(Q, K, V, mask)


def keep_top_k(k: int) -> Step:
    """Return a mask step that hides, after the usual mask, all but each query's `k` highest scores.

    Raises:
        ArgumentTypeError, OptionError: `k` is no positive integer.
    """
    require_count(k, "k", "top-k")
    return named_step(_keep_best, f"keep_top_k({k})", k=k)


def _keep_best(scaled: Tensor, operands: Operands, *, k: int) -> Tensor:
    masked = add_bias_and_hide(scaled, operands)
    # torch.topk leaves the order of equal scores open; a stable sort lets the first key win.
    best = masked.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    kept = torch.zeros_like(masked, dtype=torch.bool).scatter(-1, best, True)
    return masked.masked_fill(~kept, float("-inf"))
