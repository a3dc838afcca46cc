# WRONG dropout in eval: F.dropout without training. Object: MultiheadAttention
import torch
import torch.nn.functional as F
from torch import nn


class MultiheadAttention(nn.Module):
    """Multi-headed attention. Input shape: Time x Batch x Channel."""

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True):
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim = embed_dim // num_heads
        assert self.head_dim * num_heads == self.embed_dim, "embed_dim must be divisible by num_heads"
        self.scaling = self.head_dim ** -0.5
        self.k_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.v_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.q_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None):
        """key_padding_mask: (batch, src_len), True marks padding. attn_mask: (tgt_len, src_len), added."""
        n, b, embed_dim = query.size()
        q = self.q_proj(query) * self.scaling
        k = self.k_proj(key)
        v = self.v_proj(value)
        q = q.contiguous().view(n, b * self.num_heads, self.head_dim).transpose(0, 1)
        k = k.contiguous().view(-1, b * self.num_heads, self.head_dim).transpose(0, 1)
        v = v.contiguous().view(-1, b * self.num_heads, self.head_dim).transpose(0, 1)
        m = k.size(1)
        attn_weights = torch.bmm(q, k.transpose(1, 2))
        if attn_mask is not None:
            attn_weights += attn_mask.unsqueeze(0)
        if key_padding_mask is not None:
            attn_weights = attn_weights.view(b, self.num_heads, n, m)
            attn_weights = attn_weights.masked_fill(key_padding_mask.unsqueeze(1).unsqueeze(2).to(torch.bool), float("-inf"))
            attn_weights = attn_weights.view(b * self.num_heads, n, m)
        soft = F.softmax(attn_weights, dim=-1, dtype=torch.float32)
        attn_weights = soft.type_as(attn_weights)
        dropped = F.dropout(attn_weights, p=self.dropout)
        mixed = torch.bmm(dropped, v)
        mixed = mixed.transpose(0, 1).contiguous().view(n, b, embed_dim)
        mixed = self.out_proj(mixed)
        if need_weights:
            return mixed, soft.view(b, self.num_heads, n, m).mean(dim=1)
        return mixed, None
