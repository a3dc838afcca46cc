"""Multi-head modules with packed projections, PyTorch's own function inside, or arrays of NumPy."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


@valid("multihead")
class PackedChunk(nn.Module):
    """One Linear, cut into three."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        q, k, v = (t.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        s = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(q.size(3))
        if mask is not None:
            s = s.masked_fill(mask == 0, -1e9)
        w = s.softmax(-1)
        return self.proj((self.dropout(w) @ v).transpose(1, 2).flatten(2)), w


@valid("multihead")
class VisionAttention(nn.Module):
    """As in timm: reshape to (3, heads, size), permute, unbind."""

    def __init__(self, dim, num_heads=8, qkv_bias=False, attn_drop=0.0, proj_drop=0.0):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x, mask=None):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = (q * self.scale) @ k.transpose(-2, -1)
        if mask is not None:
            attn = attn.masked_fill(~mask.bool(), -1e9)
        attn = self.attn_drop(attn.softmax(dim=-1))
        return self.proj_drop(self.proj((attn @ v).transpose(1, 2).reshape(B, N, C)))


@valid("multihead")
class PackedParameters(nn.Module):
    """Parameters with the names of `nn.MultiheadAttention`."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj_weight = nn.Parameter(torch.randn(3 * embed_dim, embed_dim) / embed_dim**0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).split(x.shape[-1], dim=-1)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
        s = q @ k.mT / q.shape[-1] ** 0.5
        if mask is not None:
            s = s.masked_fill(mask == 0, -torch.inf)
        w = F.dropout(s.softmax(-1).nan_to_num(), self.dropout, self.training)
        return self.out_proj((w @ v).transpose(1, 2).flatten(-2))


@valid("multihead", mask="hide")
class Delegating(nn.Module):
    """`nn.MultiheadAttention` does the work; True hides, and the weights are averaged over the heads."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.mha = nn.MultiheadAttention(embed_dim, num_heads, dropout=dropout, batch_first=True)

    def forward(self, x, mask=None):
        bias = None
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(mask.bool(), torch.finfo(x.dtype).min)
        return self.mha(x, x, x, attn_mask=bias, need_weights=False)[0]


@valid("multihead")
class FastFunction(nn.Module):
    """The function of PyTorch, dropout only in training."""

    def __init__(self, d_model, n_heads, dropout=0.1):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, mask=None):
        b, n, _ = x.shape
        q, k, v = (p(x).view(b, n, self.n_heads, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        keep = mask.bool() if mask is not None else None
        p = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=p)
        return self.o_proj(out.nan_to_num().transpose(1, 2).reshape(b, n, -1))


@valid("multihead")
class InnerModule(nn.Module):
    """Three Linears in a ModuleDict, the mechanism in a module of its own, and one odd attribute."""

    class Mechanism(nn.Module):
        """Softmax over the keys; nothing to learn."""

        def forward(self, q, k, v, mask, dropout):
            s = q.matmul(k.mT) * k.shape[-1] ** -0.5
            w = (s if mask is None else s.masked_fill(mask == 0, -1e9)).softmax(-1)
            return dropout(w).matmul(v), w

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Linear(embed_dim, embed_dim) for name in ("query", "key", "value", "out")}
        )
        self.mechanism = self.Mechanism()
        self.drop = nn.Dropout(dropout)
        self.num_heads = num_heads
        self.calls = 0
        self.register_buffer("temperature", torch.ones(1), persistent=False)

    def forward(self, x, mask=None):
        self.calls += 1
        heads = (
            self.project[name](x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        out, weights = self.mechanism(*heads, mask, self.drop)
        return self.project["out"](out.transpose(1, 2).flatten(2)), weights


@valid("multihead")
class HeadwiseParameters(nn.Module):
    """Matrices of (width, width) as plain parameters; the heads are cut inside the einsum."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.p = num_heads, dropout
        self.W_q = nn.Parameter(torch.randn(embed_dim, embed_dim) * embed_dim**-0.5)
        self.W_k = nn.Parameter(torch.randn(embed_dim, embed_dim) * embed_dim**-0.5)
        self.W_v = nn.Parameter(torch.randn(embed_dim, embed_dim) * embed_dim**-0.5)
        self.W_o = nn.Parameter(torch.randn(embed_dim, embed_dim) * embed_dim**-0.5)

    def forward(self, x, mask=None):
        q, k, v = (
            torch.einsum("bnc,chd->bhnd", x, w.unflatten(1, (self.num_heads, -1)))
            for w in (self.W_q, self.W_k, self.W_v)
        )
        s = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
        if mask is not None:
            s = s.masked_fill(mask == 0, -1e9)
        w = F.dropout(s.softmax(-1), self.p, self.training)
        return torch.einsum("bhqk,bhkd,hdc->bqc", w, v, self.W_o.unflatten(0, (self.num_heads, -1)))


def _softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@valid("multihead")
class MultiHeadArrays:
    """NumPy: four matrices without biases, used as `x @ W`."""

    def __init__(self, embed_dim, num_heads, seed=0):
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.W_q = rng.standard_normal((embed_dim, embed_dim)) / np.sqrt(embed_dim)
        self.W_k = rng.standard_normal((embed_dim, embed_dim)) / np.sqrt(embed_dim)
        self.W_v = rng.standard_normal((embed_dim, embed_dim)) / np.sqrt(embed_dim)
        self.W_o = rng.standard_normal((embed_dim, embed_dim)) / np.sqrt(embed_dim)

    def split(self, t):
        b, n, _ = t.shape
        return t.reshape(b, n, self.num_heads, self.head_dim).transpose(0, 2, 1, 3)

    def forward(self, x, mask=None):
        q, k, v = self.split(x @ self.W_q), self.split(x @ self.W_k), self.split(x @ self.W_v)
        s = q @ k.transpose(0, 1, 3, 2) / np.sqrt(self.head_dim)
        if mask is not None:
            s = np.where(mask, s, -1e9)
        w = _softmax(s)
        return (w @ v).transpose(0, 2, 1, 3).reshape(x.shape) @ self.W_o, w


@valid("multihead")
class MultiHeadArraysWithBiases:
    """NumPy: matrices and biases, a loop over the heads, called as a function."""

    def __init__(self, d_model, num_heads):
        rng = np.random.default_rng(2)
        self.heads = num_heads
        self.Wq, self.Wk, self.Wv, self.Wo = rng.normal(0, d_model**-0.5, (4, d_model, d_model))
        self.bq, self.bk, self.bv, self.bo = rng.normal(0, 0.1, (4, d_model))

    def __call__(self, x, mask=None):
        q, k, v = x @ self.Wq + self.bq, x @ self.Wk + self.bk, x @ self.Wv + self.bv
        out = []
        for qh, kh, vh in zip(*(np.split(t, self.heads, axis=-1) for t in (q, k, v)), strict=True):
            s = np.einsum("bqd,bkd->bqk", qh, kh) / math.sqrt(qh.shape[-1])
            out.append(_softmax(s if mask is None else np.where(mask, s, -1e9)) @ vh)
        return np.concatenate(out, axis=-1) @ self.Wo + self.bo
