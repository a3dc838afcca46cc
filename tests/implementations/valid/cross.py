"""Cross-attention: queries from one sequence, keys and values from another."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


@valid("cross")
class CrossAttention(nn.Module):
    """The usual way."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, context, mask=None):
        b, n, d = x.shape
        m = context.shape[1]
        q = self.q_proj(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(context).view(b, m, self.num_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(context).view(b, m, self.num_heads, self.head_dim).transpose(1, 2)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        weights = torch.softmax(scores, dim=-1)
        return self.out_proj((self.dropout(weights) @ v).transpose(1, 2).reshape(b, n, d)), weights


@valid("cross")
class PackedKeysAndValues(nn.Module):
    """As in diffusion models: queries alone, keys and values from one Linear."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, dim * 2, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x, context, mask=None):
        k, v = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.to_q(x), k, v))
        keep = None if mask is None else mask.bool()
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep).nan_to_num()
        return self.to_out(out.transpose(1, 2).flatten(2))


@valid("cross")
class EncoderDecoder(nn.Module):
    """Named after the two sides; einsum on heads that stay in place."""

    def __init__(self, d_model, n_heads, dropout=0.1):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, decoder_states, encoder_states, mask=None):
        q = self.query(decoder_states).unflatten(-1, (self.n_heads, -1))
        k = self.key(encoder_states).unflatten(-1, (self.n_heads, -1))
        v = self.value(encoder_states).unflatten(-1, (self.n_heads, -1))
        s = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        if mask is not None:
            s = s.masked_fill(mask.logical_not(), torch.finfo(s.dtype).min)
        w = self.dropout(s.softmax(dim=-1))
        return self.output(torch.einsum("bhqk,bkhd->bqhd", w, v).flatten(2))


@valid("cross")
class PackedOfTorch(nn.Module):
    """One packed matrix: the first third for x, the rest for the context."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, context, mask=None):
        w_q, w_k, w_v = self.in_proj.weight.chunk(3)
        b_q, b_k, b_v = self.in_proj.bias.chunk(3)
        parts = F.linear(x, w_q, b_q), F.linear(context, w_k, b_k), F.linear(context, w_v, b_v)
        outs = []
        for q, k, v in zip(*(p.chunk(self.num_heads, -1) for p in parts), strict=True):
            s = q @ k.mT / q.shape[-1] ** 0.5
            if mask is not None:
                s = s.masked_fill(mask == 0, -1e9)
            outs.append(s.softmax(-1) @ v)
        return self.out_proj(torch.cat(outs, -1))


@valid("cross")
class CrossArrays:
    """NumPy."""

    def __init__(self, embed_dim, num_heads):
        rng = np.random.default_rng(4)
        self.num_heads = num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = rng.normal(0, embed_dim**-0.5, (4, embed_dim, embed_dim))

    def _heads(self, t):
        return t.reshape(*t.shape[:2], self.num_heads, -1).swapaxes(1, 2)

    def forward(self, x, context, mask=None):
        q, k, v = self._heads(x @ self.W_q), self._heads(context @ self.W_k), self._heads(context @ self.W_v)
        s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        s = s if mask is None else np.where(mask, s, -1e9)
        w = np.exp(s - s.max(-1, keepdims=True))
        w = w / w.sum(-1, keepdims=True)
        return (w @ v).swapaxes(1, 2).reshape(x.shape) @ self.W_o
