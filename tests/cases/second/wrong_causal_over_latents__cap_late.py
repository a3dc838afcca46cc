# WRONG cap_after_mask: the soft cap comes after the mask. Object: CappedAttention
import torch
import torch.nn as nn


class CappedAttention(nn.Module):
    """Queries of x, keys and values of y; without a mask it is causal. The cache is set up from outside, if at all."""

    def __init__(self, embed_dim, num_heads, softcapping=5.0):
        super().__init__()
        self.num_heads, self.head_dim, self.softcapping = num_heads, embed_dim // num_heads, softcapping
        self.q_proj = nn.Linear(embed_dim, embed_dim, bias=False)
        self.k_proj = nn.Linear(embed_dim, embed_dim, bias=False)
        self.v_proj = nn.Linear(embed_dim, embed_dim, bias=False)
        self.output_proj = nn.Linear(embed_dim, embed_dim, bias=False)
        self.kv_cache = None
        self.cache_enabled = False

    def forward(self, x, y, mask=None, input_pos=None):
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.num_heads, -1).transpose(1, 2)
        k = self.k_proj(y).view(b, y.shape[1], self.num_heads, -1).transpose(1, 2)
        v = self.v_proj(y).view(b, y.shape[1], self.num_heads, -1).transpose(1, 2)
        if self.kv_cache is not None and self.cache_enabled:
            k, v = self.kv_cache.update(input_pos, k, v)
        scores = q @ k.transpose(2, 3) * self.head_dim**-0.5
        if mask is None:
            mask = torch.ones(n, n, dtype=torch.bool, device=x.device).tril()
        if mask.dim() == 3:
            mask = mask.unsqueeze(1)
        scores = scores.masked_fill(~mask, -torch.inf)
        scores = torch.tanh(scores / self.softcapping) * self.softcapping
        out = scores.softmax(dim=-1) @ v
        return self.output_proj(out.transpose(1, 2).reshape(b, n, -1))
