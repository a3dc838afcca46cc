# RIGHT: a cache of fixed length as buffers, start position given. Object: CachedAttention
import torch
from torch import nn


class CachedAttention(nn.Module):
    """Causal. start_pos: how many tokens are already in the cache."""

    def __init__(self, dim, n_heads, max_batch_size=4, max_seq_len=32):
        super().__init__()
        self.n_heads, self.head_dim = n_heads, dim // n_heads
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, dim, bias=False)
        self.wv = nn.Linear(dim, dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)
        shape = (max_batch_size, max_seq_len, n_heads, self.head_dim)
        self.register_buffer("cache_k", torch.zeros(shape))
        self.register_buffer("cache_v", torch.zeros(shape))

    def forward(self, x, start_pos=0):
        b, n, _ = x.shape
        q, k, v = (w(x).view(b, n, self.n_heads, self.head_dim) for w in (self.wq, self.wk, self.wv))
        end = start_pos + n
        self.cache_k, self.cache_v = self.cache_k.to(x), self.cache_v.to(x)
        self.cache_k[:b, start_pos:end] = k
        self.cache_v[:b, start_pos:end] = v
        keys, values = self.cache_k[:b, :end], self.cache_v[:b, :end]
        scores = torch.einsum("bqhd,bkhd->bhqk", q, keys) / self.head_dim**0.5
        visible = torch.arange(end)[None, :] <= torch.arange(start_pos, end)[:, None]
        scores = scores.masked_fill(~visible, float("-inf"))
        out = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(dim=-1), values)
        return self.wo(out.reshape(b, n, -1))
