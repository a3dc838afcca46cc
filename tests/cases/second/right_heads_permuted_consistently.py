# RIGHT: heads_permuted_consistently. Object: InterleavedHeads
import torch
from torch import nn


class InterleavedHeads(nn.Module):
    """Grouped heads, kept as (repeat, group) inside and put back in their order."""

    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        self.g, self.r, self.d = kv_heads, heads // kv_heads, dim // heads
        self.q_proj = nn.Linear(dim, heads * self.d)
        self.kv_proj = nn.Linear(dim, 2 * kv_heads * self.d)
        self.o_proj = nn.Linear(heads * self.d, dim)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.g, self.r, self.d).permute(0, 3, 2, 1, 4)  # b r g n d
        k, v = self.kv_proj(x).view(b, n, 2, self.g, self.d).permute(2, 0, 3, 1, 4)
        w = (q @ k[:, None].mT / self.d**0.5).softmax(-1)
        y = (w @ v[:, None]).permute(0, 3, 2, 1, 4)  # b n g r d
        return self.o_proj(y.reshape(b, n, -1))
