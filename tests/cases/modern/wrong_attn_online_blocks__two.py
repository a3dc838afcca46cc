# WRONG online softmax + scale by tokens: the output is not rescaled, the scale counts keys. Object: flash_attention_forward
import math

import torch


def flash_attention_forward(Q, K, V, block_size=16, causal=False):
    """FlashAttention-2 forward, for teaching. Q, K, V: (batch, heads, n, d)."""
    n, m = Q.shape[-2], K.shape[-2]
    scale = 1.0 / math.sqrt(K.shape[-2])
    O = torch.zeros(*Q.shape[:-1], V.shape[-1], dtype=Q.dtype)
    l = torch.zeros(*Q.shape[:-1], 1, dtype=Q.dtype)
    mx = torch.full((*Q.shape[:-1], 1), float("-inf"), dtype=Q.dtype)
    for start in range(0, m, block_size):
        end = min(start + block_size, m)
        S = Q @ K[..., start:end, :].transpose(-1, -2) * scale
        if causal:
            rows = torch.arange(n)[:, None] + (m - n)
            S = S.masked_fill(torch.arange(start, end)[None, :] > rows, float("-inf"))
        new = torch.maximum(mx, S.max(dim=-1, keepdim=True).values)
        P = torch.exp(S - new)
        alpha = torch.exp(mx - new)
        l = alpha * l + P.sum(dim=-1, keepdim=True)
        O = O + P @ V[..., start:end, :]
        mx = new
    return O / l
