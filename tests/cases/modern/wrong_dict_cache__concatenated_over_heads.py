# WRONG cache: a second piece is summed to the first in place of standing after it. Object: CachedAttention
import math

import torch
import torch.nn as nn


class CachedAttention(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, bias: bool = True):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=bias)
        self.proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def forward(self, x, cache=None, mask=None):
        """Causal. cache: dict that holds "k" and "v" of the tokens before, it is changed. mask: bool (b, n_k), True = real."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            if "k" in cache:
                k = torch.cat((cache["k"], k), dim=2)
                v = torch.cat((v, cache["v"]), dim=2)
            cache["k"], cache["v"] = k, v
        total = k.size(2)
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        rows = torch.arange(total - n, total).unsqueeze(1)
        future = torch.arange(total).unsqueeze(0) > rows
        scores = scores.masked_fill(future, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        out = scores.softmax(dim=-1) @ v
        return self.proj(out.transpose(1, 2).reshape(b, n, c))
