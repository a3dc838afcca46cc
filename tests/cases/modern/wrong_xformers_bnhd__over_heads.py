# WRONG attends over heads: keys and queries are not moved, so the heads attend to each other. Object: memory_efficient_attention
from typing import Optional

import torch


def memory_efficient_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_bias: Optional[torch.Tensor] = None,
    p: float = 0.0,
    scale: Optional[float] = None,
) -> torch.Tensor:
    """query, key, value: [B, M, H, K]; attn_bias: [B, H, M, N], added to the scores."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    q = query * scale
    k, v = key, value
    attn = q @ k.transpose(-2, -1)
    if attn_bias is not None:
        attn = attn + attn_bias
    attn = attn.softmax(-1)
    attn = torch.nn.functional.dropout(attn, p)
    return attn @ v
