# WRONG window + scale_missing: one key too many, no scale. Object: Attention
from typing import Optional

import torch
from torch import nn


class RollingCache:
    """Keeps the last `window` keys and values; position p lies in slot p % window."""

    def __init__(self, window: int):
        self.window, self.seen = window, 0
        self.k = self.v = None

    def update(self, k, v):  # (b, h, 1, d)
        if self.k is None:
            shape = (*k.shape[:2], self.window, k.shape[-1])
            self.k, self.v = torch.zeros(shape), torch.zeros(shape)
        slot = self.seen % self.window
        self.k[:, :, slot], self.v[:, :, slot] = k[:, :, 0], v[:, :, 0]
        self.seen += 1
        filled = min(self.seen, self.window)
        return self.k[:, :, :filled], self.v[:, :, :filled]


class Attention(nn.Module):
    def __init__(self, dim: int, n_heads: int, sliding_window: int = 4):
        super().__init__()
        self.n_heads, self.head_dim, self.sliding_window = n_heads, dim // n_heads, sliding_window
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, dim, bias=False)
        self.wv = nn.Linear(dim, dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x, cache: Optional[RollingCache] = None):
        """Without a cache: the whole sequence. With one: a single token that follows those in it."""
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, self.n_heads, self.head_dim).transpose(1, 2) for f in (self.wq, self.wk, self.wv))
        if cache is not None:
            k, v = cache.update(k, v)
        scores = q @ k.transpose(2, 3)
        if cache is None:
            tensor = torch.full((n, n), fill_value=1)
            mask = torch.tril(tensor, diagonal=0)
            mask = torch.triu(mask, diagonal=-self.sliding_window)
            scores = scores + torch.log(mask)
        return self.wo((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1))
