# WRONG key_as_value: the keys are averaged instead of the values. Object: ZeroKeyAttention
import torch
import torch.nn as nn


class ZeroKeyAttention(nn.Module):
    """Cross-attention in which a query may look at nothing: beside the keys stands one of zeros, and its value."""

    def __init__(self, dim, num_heads, add_zero_attn=True):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.add_zero_attn = add_zero_attn
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def _split(self, x):
        return x.reshape(x.shape[0], -1, self.num_heads, self.head_dim).transpose(1, 2)

    def forward(self, query, key, value):
        q, k, v = self._split(self.q_proj(query)), self._split(self.k_proj(key)), self._split(self.v_proj(value))
        if self.add_zero_attn:
            nothing = k.new_zeros(k.shape[0], k.shape[1], 1, k.shape[3])
            k = torch.cat([k, nothing], dim=2)
            v = torch.cat([v, nothing], dim=2)
        scores = q @ k.transpose(-2, -1) / self.head_dim**0.5
        out = scores.softmax(dim=-1) @ k
        return self.out_proj(out.transpose(1, 2).reshape(query.shape))
