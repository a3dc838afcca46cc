# RIGHT: cache_offset. Object: MlxAttention
import torch
from torch import nn


def rope(x, offset):
    n, d = x.shape[-2:]
    freqs = 10000.0 ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angles = torch.arange(offset, offset + n, dtype=x.dtype)[:, None] * freqs
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)


class MlxAttention(nn.Module):
    """Causal."""

    def __init__(self, dims, num_heads):
        super().__init__()
        self.h = num_heads
        self.query_proj, self.key_proj, self.value_proj, self.out_proj = (
            nn.Linear(dims, dims, bias=False) for _ in range(4)
        )

    def forward(self, x, cache=None):
        b, n, d = x.shape
        q, k, v = (
            f(x).view(b, n, self.h, -1).transpose(1, 2) for f in (self.query_proj, self.key_proj, self.value_proj)
        )
        past = 0 if cache is None else cache[0].shape[2]
        q, k = rope(q, past), rope(k, past)
        if cache is not None:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        s = q @ k.mT * q.shape[-1] ** -0.5
        s = s.masked_fill(torch.ones(n, k.shape[2], dtype=torch.bool).triu(past + 1), float("-inf"))
        return self.out_proj((s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d)), (k, v)
