# RIGHT: residual_elsewhere. Object: Attn
import torch
from torch import nn


class Attn(nn.Module):
    """Pre-norm attention. The residual connection is added by the caller: x + attn(x)."""

    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(dim)
        self.wqkv, self.wo = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.wqkv(self.norm(x)).chunk(3, -1)
        q, k, v = (z.reshape(b, t, self.n_heads, -1).transpose(1, 2) for z in (q, k, v))
        w = torch.softmax(q @ k.mT / q.size(-1) ** 0.5, -1)
        return self.wo((w @ v).transpose(1, 2).reshape(b, t, c))
