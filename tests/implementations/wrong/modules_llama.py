"""Grouped and multi-query attention."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.implementations.implementation import wrong


def repeat_kv(x, n_rep):
    bs, n_kv_heads, slen, head_dim = x.shape
    return x[:, :, None].expand(bs, n_kv_heads, n_rep, slen, head_dim).reshape(bs, -1, slen, head_dim)


class Attention(nn.Module):
    def __init__(self, dim, n_heads, n_kv_heads):
        super().__init__()
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.n_rep = n_heads // n_kv_heads
        self.head_dim = dim // n_heads
        self.wq = nn.Linear(dim, n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(n_heads * self.head_dim, dim, bias=False)

    def heads(self, x, n):
        return x.view(x.shape[0], x.shape[1], n, self.head_dim).transpose(1, 2)

    def repeat(self, x):
        return repeat_kv(x, self.n_rep)

    def scores(self, q, k):
        return torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.head_dim)

    def normalise(self, scores, mask):
        if mask is not None:
            scores = scores.masked_fill((mask.unsqueeze(1) if mask.dim() == 3 else mask) == 0, -1e9)
        return F.softmax(scores, dim=-1)

    def merge(self, output):
        return output.transpose(1, 2).contiguous().flatten(2)

    def forward(self, x, mask=None):
        q = self.heads(self.wq(x), self.n_heads)
        k = self.repeat(self.heads(self.wk(x), self.n_kv_heads))
        v = self.repeat(self.heads(self.wv(x), self.n_kv_heads))
        return self.wo(self.merge(self.normalise(self.scores(q, k), mask) @ v))


def grouped(*faults):
    return wrong(*faults, contract="grouped")


@grouped("heads_tiled")
class Repeat(Attention):
    def repeat(self, x):
        return x.repeat(1, self.n_rep, 1, 1)


@grouped("heads_tiled")
class Expand(Attention):
    def repeat(self, x):
        return x[:, None].expand(-1, self.n_rep, -1, -1, -1).flatten(1, 2)


@grouped("heads_tiled", "scale_missing")
class RepeatUnscaled(Repeat):
    def scores(self, q, k):
        return torch.matmul(q, k.transpose(2, 3))


@grouped("scale_missing")
class Unscaled(Attention):
    def scores(self, q, k):
        return torch.einsum("bhqd,bhkd->bhqk", q, k)


@grouped("scale_by_model_width")
class Wide(Attention):
    def scores(self, q, k):
        return torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.wq.in_features)


@grouped("heads_merged_without_transpose")
class Merge(Attention):
    def merge(self, output):
        return output.reshape(output.size(0), output.size(2), -1)


@grouped("mask_ignored")
class NoMask(Attention):
    def normalise(self, scores, mask):
        return F.softmax(scores, dim=-1)


@grouped("softmax_over_queries")
class Axis(Attention):
    def normalise(self, scores, mask):
        if mask is not None:
            scores = scores.masked_fill((mask.unsqueeze(1) if mask.dim() == 3 else mask) == 0, -1e9)
        return F.softmax(scores, dim=2)


@grouped("key_as_value", "heads_merged_without_transpose")
class Copied(Merge):
    def forward(self, x, mask=None):
        q = self.heads(self.wq(x), self.n_heads)
        k = self.repeat(self.heads(self.wk(x), self.n_kv_heads))
        return self.wo(self.merge(self.normalise(self.scores(q, k), mask) @ k))


class MultiQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = d_model // num_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, self.head_dim)
        self.v_proj = nn.Linear(d_model, self.head_dim)
        self.out_proj = nn.Linear(d_model, d_model)

    root = 0.5

    def forward(self, x, mask=None):
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.num_heads, self.head_dim)
        att = self.pattern(torch.einsum("bqhd,bkd->bhqk", q, self.k_proj(x)) / self.head_dim**self.root, mask)
        out = torch.einsum("bhqk,bkd->bqhd", att, self.values(x))
        return self.end(out)

    def values(self, x):
        return self.v_proj(x)

    def pattern(self, s, mask):
        if mask is not None:
            s = s.masked_fill((mask[:, None] if mask.dim() == 3 else mask) == 0, -1e9)
        return s.softmax(-1)

    def end(self, out):
        return self.out_proj(out.flatten(2))


def multiquery(*faults):
    return wrong(*faults, contract="multiquery")


@multiquery("scale_by_key_size")
class Divided(MultiQueryAttention):
    root = 1


@multiquery("key_as_value")
class OneProjection(MultiQueryAttention):
    def values(self, x):
        return self.k_proj(x)


@multiquery("mask_inverted")
class Hidden(MultiQueryAttention):
    def pattern(self, s, mask):
        return super().pattern(s, None if mask is None else ~mask.bool())


@multiquery("output_projection_missing")
class Flat(MultiQueryAttention):
    def end(self, out):
        return out.flatten(2)


@multiquery("heads_averaged")
class Mean(MultiQueryAttention):
    def pattern(self, s, mask):
        p = super().pattern(s, mask)
        return p.mean(1, keepdim=True).expand_as(p)


@multiquery("scale_missing", "mask_fill_too_small")
class Soft(MultiQueryAttention):
    root = 0

    def pattern(self, s, mask):
        if mask is not None:
            s = torch.where((mask[:, None] if mask.dim() == 3 else mask) != 0, s, -10.0)
        return s.softmax(-1)


@multiquery("head_outputs_averaged")
class Averaged(MultiQueryAttention):
    def end(self, out):
        return self.out_proj(out.mean(2).repeat(1, 1, self.num_heads))
