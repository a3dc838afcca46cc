# RIGHT: (b, n, h, d) in and out, as memory_efficient_attention. Object: memory_efficient_attention
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
    q = query.transpose(1, 2) * scale
    k, v = key.transpose(1, 2), value.transpose(1, 2)
    attn = q @ k.transpose(-2, -1)
    if attn_bias is not None:
        attn = attn + attn_bias
    attn = attn.softmax(-1)
    attn = torch.nn.functional.dropout(attn, p)
    return (attn @ v).transpose(1, 2)
