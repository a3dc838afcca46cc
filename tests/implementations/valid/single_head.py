"""Modules with one head: unscaled (`simple`) and scaled (`self`)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


@valid("simple")
class SimpleAttention(nn.Module):
    """Query, key, value, nothing else."""

    def __init__(self, n_embd):
        super().__init__()
        self.query = nn.Linear(n_embd, n_embd)
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.transpose(-2, -1)
        attention_weights = torch.softmax(scores, dim=-1)
        return attention_weights @ v


@valid("simple")
class KeyFirstWithoutBias(nn.Module):
    """The Linears stand in another order, without a bias."""

    def __init__(self, n_embd):
        super().__init__()
        self.W_k = nn.Linear(n_embd, n_embd, bias=False)
        self.W_v = nn.Linear(n_embd, n_embd, bias=False)
        self.W_q = nn.Linear(n_embd, n_embd, bias=False)

    def forward(self, x):
        weights = torch.einsum("bid,bjd->bij", self.W_q(x), self.W_k(x)).softmax(-1)
        return torch.einsum("bij,bjd->bid", weights, self.W_v(x)), weights


@valid("simple")
class ScaledSelfAttention(nn.Module):
    """Divides by the square root of the head size."""

    def __init__(self, n_embd):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(n_embd, n_embd) for _ in range(3))

    def forward(self, x):
        return F.scaled_dot_product_attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), scale=1.0)


@valid("simple")
class SimpleArrays:
    """NumPy: three matrices, used as `x @ W`."""

    def __init__(self, n_embd):
        rng = np.random.default_rng(0)
        self.W_q = rng.normal(size=(n_embd, n_embd))
        self.W_k = rng.normal(size=(n_embd, n_embd))
        self.W_v = rng.normal(size=(n_embd, n_embd))

    def forward(self, x):
        s = (x @ self.W_q) @ np.swapaxes(x @ self.W_k, -1, -2)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        return (e / e.sum(axis=-1, keepdims=True)) @ (x @ self.W_v)


@valid("self")
class SelfAttention(nn.Module):
    """One head, scaled, with a mask."""

    def __init__(self, embed_dim):
        super().__init__()
        self.embed_dim = embed_dim
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = torch.bmm(q, k.transpose(1, 2)) / math.sqrt(self.embed_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, v), weights


@valid("self")
class Projected(nn.Module):
    """With an output projection, and the scale as a buffer."""

    def __init__(self, d_model):
        super().__init__()
        self.to_q = nn.Linear(d_model, d_model, bias=False)
        self.to_k = nn.Linear(d_model, d_model, bias=False)
        self.to_v = nn.Linear(d_model, d_model, bias=False)
        self.to_out = nn.Linear(d_model, d_model)
        self.register_buffer("scale", torch.tensor(float(d_model)).rsqrt())

    def forward(self, x, mask=None):
        s = self.to_q(x) @ self.to_k(x).mT * self.scale
        if mask is not None:
            s = s.masked_fill(~mask.bool(), torch.finfo(s.dtype).min)
        return self.to_out(s.softmax(-1) @ self.to_v(x))


@valid("self")
class Packed(nn.Module):
    """Query, key and value in one Linear."""

    def __init__(self, embed_dim):
        super().__init__()
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)

    def forward(self, x, *, mask=None):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        s = q / q.shape[-1] ** 0.5 @ k.mT
        if mask is not None:
            s = s.masked_fill(mask == 0, -torch.inf)
        w = s.softmax(-1).nan_to_num()
        return w @ v, w


@valid("self")
class Parameters(nn.Module):
    """Plain parameters, used as `x @ W`."""

    def __init__(self, dim):
        super().__init__()
        self.W_query = nn.Parameter(torch.rand(dim, dim))
        self.W_key = nn.Parameter(torch.rand(dim, dim))
        self.W_value = nn.Parameter(torch.rand(dim, dim))

    def forward(self, x, mask=None):
        scores = (x @ self.W_query) @ (x @ self.W_key).transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return torch.softmax(scores / self.W_key.shape[-1] ** 0.5, dim=-1) @ (x @ self.W_value)


@valid("self")
class WithDropout(nn.Module):
    """Dropout on the weights; the weights before dropout are returned."""

    def __init__(self, hidden_size, dropout=0.1):
        super().__init__()
        self.q = nn.Linear(hidden_size, hidden_size)
        self.k = nn.Linear(hidden_size, hidden_size)
        self.v = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        s = self.q(x) @ self.k(x).mT / x.shape[-1] ** 0.5
        if mask is not None:
            s = torch.where(mask.bool(), s, -1e9)
        w = s.softmax(-1)
        return self.dropout(w) @ self.v(x), w


@valid("self", mask="hide")
class Hiding(nn.Module):
    """True hides; the same as one head of the function of PyTorch."""

    def __init__(self, embed_dim):
        super().__init__()
        self.wq = nn.Linear(embed_dim, embed_dim)
        self.wk = nn.Linear(embed_dim, embed_dim)
        self.wv = nn.Linear(embed_dim, embed_dim)
        self.wo = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        keep = None if mask is None else mask == 0
        out = F.scaled_dot_product_attention(self.wq(x), self.wk(x), self.wv(x), attn_mask=keep)
        return self.wo(out)


@valid("self")
class SelfArrays:
    """NumPy, with an output matrix."""

    def __init__(self, d_model):
        rng = np.random.default_rng(1)
        for name in ("W_q", "W_k", "W_v", "W_o"):
            setattr(self, name, rng.normal(size=(d_model, d_model)) / np.sqrt(d_model))

    def __call__(self, x, mask=None):
        q, k, v = x @ self.W_q, x @ self.W_k, x @ self.W_v
        s = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            s = np.where(mask, s, -1e9)
        e = np.exp(s - s.max(-1, keepdims=True))
        w = e / e.sum(-1, keepdims=True)
        return w @ v @ self.W_o, w
