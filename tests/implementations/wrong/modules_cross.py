"""Cross attention: to_q and to_kv with chunk, and other hands."""

import math

import numpy as np
import torch
from torch import einsum, nn

from tests.implementations.implementation import wrong


class CrossAttention(nn.Module):
    def __init__(self, dim, heads=8, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, dim * 2, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))

    def split(self, t):
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def qkv(self, x, context):
        return (self.to_q(x), *self.to_kv(context).chunk(2, dim=-1))

    def mask(self, sim, mask):
        return sim.masked_fill((mask[:, None] if mask.dim() == 3 else mask) == 0, -1e9)

    def attend(self, sim):
        return sim.softmax(dim=-1)

    def forward(self, x, context, mask=None):
        q, k, v = map(self.split, self.qkv(x, context))
        sim = einsum("b h i d, b h j d -> b h i j", q, k) * self.scale
        if mask is not None:
            sim = self.mask(sim, mask)
        out = einsum("b h i j, b h j d -> b h i d", self.attend(sim), v)
        return self.to_out(out.transpose(1, 2).flatten(-2))


def cross(*faults):
    return wrong(*faults, contract="cross")


@cross("context_ignored")
class Self(CrossAttention):
    def qkv(self, x, context):
        return super().qkv(x, x)


@cross("context_as_query")
class Turned(CrossAttention):
    def qkv(self, x, context):
        return super().qkv(context, x)


@cross("chunk_order_wrong")
class ValueFirst(CrossAttention):
    def qkv(self, x, context):
        v, k = self.to_kv(context).chunk(2, dim=-1)
        return self.to_q(x), k, v


@cross("scale_missing")
class Plain(CrossAttention):
    def __init__(self, dim, heads=8):
        super().__init__(dim, heads)
        self.scale = 1.0


@cross("mask_ignored")
class Open(CrossAttention):
    def mask(self, sim, mask):
        sim.masked_fill((mask[:, None] if mask.dim() == 3 else mask) == 0, -1e9)
        return sim


@cross("mask_inverted")
class Upside(CrossAttention):
    def mask(self, sim, mask):
        return super().mask(sim, mask.logical_not())


@cross("heads_split_by_view")
class View(CrossAttention):
    def split(self, t):
        return t.reshape(t.shape[0], self.heads, t.shape[1], -1)


@cross("softmax_over_queries")
class Slots(CrossAttention):
    def attend(self, sim):
        return sim.softmax(dim=-2)


@cross("scale_by_num_queries")
class Rows(CrossAttention):
    def forward(self, x, context, mask=None):
        self.scale = x.shape[1] ** -0.5
        return super().forward(x, context, mask)


@cross("query_as_value")
class Echo(CrossAttention):
    def forward(self, x, context, mask=None):
        q, k, _ = map(self.split, self.qkv(x, context))
        sim = q @ k.mT * self.scale
        if mask is not None:
            sim = self.mask(sim, mask)
        return self.to_out((self.attend(sim) @ q).transpose(1, 2).flatten(-2))


@cross("context_ignored", "scale_missing")
class PlainSelf(Plain):
    def qkv(self, x, context):
        return super().qkv(x, x)


@cross("softmax_over_queries", "output_projection_missing")
class SlotsBare(Slots):
    def __init__(self, dim, heads=8):
        super().__init__(dim, heads)
        self.to_out = nn.Identity()


@cross("mask_filled_with_zero", "scale_by_model_width")
class EncoderDecoder(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.h, self.d_model = num_heads, d_model
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x, context, mask=None):
        outs = []
        q, k, v = self.W_q(x), self.W_k(context), self.W_v(context)
        for qh, kh, vh in zip(*(t.chunk(self.h, dim=-1) for t in (q, k, v)), strict=True):
            s = torch.bmm(qh, kh.transpose(1, 2)) / math.sqrt(self.d_model)
            if mask is not None:
                s = s * mask
            outs.append(torch.bmm(s.softmax(-1), vh))
        return self.W_o(torch.cat(outs, -1))


@cross("heads_merged_without_transpose")
class InNumpy:
    def __init__(self, d_model, num_heads):
        rng = np.random.default_rng(0)
        self.W_q, self.W_k, self.W_v, self.W_o = rng.normal(size=(4, d_model, d_model)) / math.sqrt(d_model)
        self.num_heads = num_heads

    def __call__(self, x, context, mask=None):
        b, n, d = x.shape
        q, k, v = (
            (t @ W).reshape(b, t.shape[1], self.num_heads, -1).swapaxes(1, 2)
            for t, W in ((x, self.W_q), (context, self.W_k), (context, self.W_v))
        )
        s = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            s = np.where(mask if mask.ndim != 3 else mask[:, None], s, -1e9)
        e = np.exp(s - s.max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True) @ v).reshape(b, n, d) @ self.W_o
