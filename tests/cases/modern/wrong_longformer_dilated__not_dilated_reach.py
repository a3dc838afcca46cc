# WRONG window: the reach does not count the dilation. Object: DilatedSelfAttention
import torch
from torch import nn


class DilatedSelfAttention(nn.Module):
    """A query at i sees keys at i + s * dilation for s in [-one_sided, one_sided]."""

    def __init__(self, embed_dim, num_heads, one_sided=2, dilation=2):
        super().__init__()
        self.num_heads, self.one_sided, self.dilation = num_heads, one_sided, dilation
        self.query, self.key, self.value = (nn.Linear(embed_dim, embed_dim) for _ in range(3))
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, hidden):
        b, n, e = hidden.shape
        q, k, v = (f(hidden).view(b, n, self.num_heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        offset = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        allowed = (offset.abs() <= self.one_sided) & (offset % self.dilation == 0)
        scores = (q @ k.transpose(-2, -1)) / q.size(-1) ** 0.5
        scores = torch.where(allowed, scores, scores.new_tensor(-torch.inf))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, e))
