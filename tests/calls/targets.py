# pyright: reportIncompatibleMethodOverride=false
"""Small attentions, one per way of being called; none of them is special but in that."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn


def plain_attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -math.inf)
    return scores.softmax(-1) @ v


def attend_four(query, key, value):
    _b, _h, n, _d = query.shape
    assert n > 1
    return plain_attention(query, key, value)


def attend_bnhd(query, key, value):
    """query: [B, M, H, K]; key and value alike."""
    q, k, v = (t.transpose(1, 2) for t in (query, key, value))
    return plain_attention(q, k, v).transpose(1, 2)


def attend_grouped(q, k, v):
    _, _, h, _ = q.shape
    k, v = (t.repeat_interleave(h // t.shape[2], dim=2) for t in (k, v))
    return torch.einsum("bhnm,bmhd->bnhd", torch.einsum("bnhd,bmhd->bhnm", q, k).softmax(-1), v)


def attend_two_axes(Q, K, V):
    return torch.softmax(Q @ K.t() / K.shape[1] ** 0.5, 1).mm(V)


def attend_with_width(q, k, v, d_k, dropout=None):
    assert d_k == q.shape[-1]
    return plain_attention(q, k, v)


def attend_hidden_where_true(Q, K, V, attn_mask):
    return (Q @ K.transpose(-1, -2)).masked_fill_(attn_mask, -1e9).softmax(-1) @ V


def attend_additive(q, k, v, mask):
    return (q @ k.mT + mask).softmax(-1) @ v


def attend_packed(q, k, v, cu_seqlens_q, cu_seqlens_k):
    parts = []
    for i in range(len(cu_seqlens_q) - 1):
        a, b, c, d = *cu_seqlens_q[i : i + 2], *cu_seqlens_k[i : i + 2]
        scores = torch.einsum("nhd,mhd->hnm", q[a:b], k[c:d])
        parts.append(torch.einsum("hnm,mhd->nhd", scores.softmax(-1), v[c:d]))
    return torch.cat(parts)


def attend_weights(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, n_head: int):
    b, n, d = x.shape
    q, k, v = ((x @ w).view(b, n, n_head, d // n_head).transpose(1, 2) for w in (w_q, w_k, w_v))
    return plain_attention(q, k, v).transpose(1, 2).reshape(b, n, d)


def attend_numpy(Q, K, V):
    scores = Q @ np.swapaxes(K, -1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ V


def causal_mask(size):
    return torch.tril(torch.ones(size, size, dtype=torch.bool))


def padding_mask(tokens, pad=0):
    return (tokens != pad)[:, None, None, :]


class Layer(nn.Module):
    """The layer that the others are made of."""

    def __init__(self, dim, heads, kv_heads=None, kv_dim=None, inner=None, bias=False):
        super().__init__()
        self.h, self.g = heads, kv_heads or heads
        self.d = (inner or dim) // heads
        self.q = nn.Linear(dim, heads * self.d, bias=bias)
        self.k = nn.Linear(kv_dim or dim, self.g * self.d, bias=bias)
        self.v = nn.Linear(kv_dim or dim, self.g * self.d, bias=bias)
        self.o = nn.Linear(heads * self.d, dim)

    def attend(self, x, y, z, mask=None, turn=lambda t: t):
        q = turn(self.q(x).unflatten(-1, (self.h, -1)).transpose(1, 2))
        k = turn(self.k(y).unflatten(-1, (self.g, -1)).transpose(1, 2)).repeat_interleave(self.h // self.g, 1)
        v = self.v(z).unflatten(-1, (self.g, -1)).transpose(1, 2).repeat_interleave(self.h // self.g, 1)
        return self.o(plain_attention(q, k, v, mask).transpose(1, 2).flatten(2))


class OfX(Layer):
    def __init__(self, d_model, num_heads):
        assert d_model % num_heads == 0
        super().__init__(d_model, num_heads)

    def forward(self, x):
        return self.attend(x, x, x)


class MaskedLayer(OfX):
    """No mask, though it is called so."""


class OfThree(OfX):
    def forward(self, query, key, value, mask=None):
        return self.attend(query, key, value, mask), None


class Grouped(Layer):
    def __init__(self, hidden_size: int, n_heads: int, n_kv_heads: int):
        super().__init__(hidden_size, n_heads, n_kv_heads)

    def forward(self, hidden_states):
        return self.attend(hidden_states, hidden_states, hidden_states)


class Cross(Layer):
    def __init__(self, query_dim, context_dim, heads=8, dim_head=64, dropout=0.0):
        super().__init__(query_dim, heads, kv_dim=context_dim, inner=heads * dim_head)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, context, mask=None):
        return self.dropout(self.attend(x, context, context))


class ContextFirst(Layer):
    def __init__(self, kv_dim, q_dim, num_heads):
        super().__init__(q_dim, num_heads, kv_dim=kv_dim)

    def forward(self, inputs_kv, inputs_q):
        return self.attend(inputs_q, inputs_kv, inputs_kv)


class SequenceFirst(OfX):
    def forward(self, x):
        return self.attend(*[x.transpose(0, 1)] * 3).transpose(0, 1)


class PowersOfTwo(OfX):
    def __init__(self, d_model, num_heads):
        assert d_model & (d_model - 1) == 0
        assert d_model // num_heads >= 16
        super().__init__(d_model, num_heads)


class FixedLength(OfX):
    def __init__(self, sequence_length, d_model, num_heads):
        super().__init__(d_model, num_heads)
        self.place = nn.Parameter(torch.zeros(sequence_length, d_model))

    def forward(self, x):
        return super().forward(x + self.place)


class TableForALength(OfX):
    def __init__(self, d_model, num_heads, side=4):
        super().__init__(d_model, num_heads)
        self.table = nn.Parameter(torch.zeros(side**2, 1))

    def forward(self, x):
        return super().forward(x + self.table)


class Rotary(OfX):
    def forward(self, x, cos, sin):
        def turn(t):
            a, b = t.chunk(2, -1)
            return t * cos + torch.cat((-b, a), -1) * sin

        return self.attend(x, x, x, turn=turn)


class Complex(OfX):
    def forward(self, x: Tensor, start_pos: int, freqs_cis: Tensor, mask: Tensor):
        def turn(t):
            turned = torch.view_as_complex(t.unflatten(-1, (-1, 2)).contiguous()) * freqs_cis
            return torch.view_as_real(turned).flatten(-2)

        return self.attend(x, x, x, turn=turn)


@dataclass
class Arguments:
    dim: int = 64
    n_heads: int = 8
    n_kv_heads: int = 8
    max_seq_len: int = 32


class OfDataclass(Layer):
    def __init__(self, args: Arguments):
        super().__init__(args.dim, args.n_heads, args.n_kv_heads)
        self.mask = torch.ones(args.max_seq_len, args.max_seq_len).tril()

    def forward(self, x):
        return self.attend(x, x, x, self.mask[: x.shape[1], : x.shape[1]])


class OfNamespace(Layer):
    def __init__(self, config):
        super().__init__(config.n_embd, config.n_head, bias=config.bias)
        self.dropout = nn.Dropout(config.attn_pdrop)

    def forward(self, x):
        return self.attend(x, x, x)


class OfOtherNames(Layer):
    """Its configuration shares one field with `Arguments`, which is not meant."""

    def __init__(self, config):
        super().__init__(config.n_embd, config.n_heads)
        self.dropout = nn.Dropout(config.attn_pdrop)

    def forward(self, x):
        return self.attend(x, x, x)


class OfDictionary(Layer):
    def __init__(self, cfg):
        super().__init__(cfg["emb_dim"], cfg["n_heads"])

    def forward(self, x):
        return self.attend(x, x, x)


WIDTH = n_embd = 20


class OfGlobals(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        self.key, self.query, self.value = (nn.Linear(n_embd, head_size, bias=False) for _ in range(3))

    def forward(self, x):
        return plain_attention(self.query(x), self.key(x), self.value(x))


class OfModules(nn.Module):
    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int,
        q_proj: nn.Module,
        k_proj: nn.Module,
        v_proj: nn.Module,
        output_proj: nn.Module,
    ):
        super().__init__()
        self.h, self.parts = num_heads, nn.ModuleList([q_proj, k_proj, v_proj, output_proj])
        assert callable(q_proj(torch.zeros(1, embed_dim)).view)

    def forward(self, x):
        q, k, v = (p(x).unflatten(-1, (self.h, -1)).transpose(1, 2) for p in self.parts[:3])
        return self.parts[3](plain_attention(q, k, v).transpose(1, 2).flatten(2))


class Lazy(nn.Module):
    def __init__(self, num_hiddens, num_heads):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.LazyLinear(num_hiddens) for _ in range(4))
        self.h = num_heads

    def forward(self, queries, keys, values):
        q, k, v = (
            p(t).unflatten(-1, (self.h, -1)).transpose(1, 2)
            for p, t in ((self.q, queries), (self.k, keys), (self.v, values))
        )
        return self.o(plain_attention(q, k, v).transpose(1, 2).flatten(2))


class Picture(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(in_channels, in_channels, 1) for _ in range(3))

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = (p(x).flatten(2).transpose(1, 2) for p in (self.q, self.k, self.v))
        return x + plain_attention(q, k, v).transpose(1, 2).reshape(b, c, h, w)


class Normed(OfX):
    """A norm, a gain of 0 at first, a table of zeros: what draws must not leave invisible."""

    def __init__(self, d_model, num_heads, is_causal=True, mode="softmax"):
        super().__init__(d_model, num_heads)
        self.norm = nn.LayerNorm(d_model)
        self.table = nn.Parameter(torch.zeros(num_heads, 3))
        self.gain = nn.Parameter(torch.zeros(1))
        self.is_causal, self.mode = is_causal, mode
        self.register_buffer("steps", torch.arange(3.0))

    def forward(self, x):
        n = x.shape[1]
        mask = torch.ones(n, n).tril() if self.is_causal else None
        if self.mode == "double":
            x = 2 * x
        elif self.mode != "softmax":
            raise ValueError(self.mode)
        y = self.norm(x)
        return x + self.gain * self.attend(y, y, y, mask)


class OfArrays:
    def __init__(self, d_model, seed=0):
        source = np.random.default_rng(seed)
        self.w, self.b = source.normal(size=(d_model, 3 * d_model)), np.zeros(3 * d_model)

    def forward(self, x):
        return attend_numpy(*np.split(x @ self.w + self.b, 3, axis=-1))


class HandsOn(nn.Module):
    """It hands on to a block what its name does not say, and the block hands it back."""

    def __init__(self, foo, depth=0):
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(foo, foo) for _ in range(3))
        self.inner = Block(foo, depth - 1) if depth > 0 else None

    def forward(self, x):
        q, k, v = (make(x) for make in self.each)
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


class Block(nn.Module):
    def __init__(self, foo, depth=0):
        super().__init__()
        self.attention = HandsOn(foo, depth)

    def forward(self, x):
        return x + self.attention(x)


class Stubborn(nn.Module):
    def forward(self, x):
        raise RuntimeError("the disk is full")


class NotCalled:
    size = 3


CONFIG = SimpleNamespace(n_embd=768, n_head=12, bias=True, attn_pdrop=0.1)
