"""Causal layers in the manner of nanoGPT and of minGPT."""

import math

import torch
import torch.nn as nn
from torch.nn import functional as F

from tests.implementations.implementation import wrong

causal = "causal_multihead"


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.n_head = config.n_head
        self.n_embd = config.n_embd
        self.dropout = config.dropout
        self.register_buffer("bias", self.triangle(config.block_size)[None, None])

    def triangle(self, n):
        return torch.tril(torch.ones(n, n))

    def qkv(self, x):
        return self.c_attn(x).split(self.n_embd, dim=2)

    def split(self, x):
        B, T, C = x.size()
        return x.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)  # (B, nh, T, hs)

    def merge(self, y):
        B, _, T, _ = y.size()
        return y.transpose(1, 2).contiguous().view(B, T, self.n_embd)

    def scale(self, att, k):
        return att * (1.0 / math.sqrt(k.size(-1)))

    def hide(self, att):
        T = att.size(-1)
        return att.masked_fill(self.bias[:, :, :T, :T] == 0, -1e9)

    def drop(self, att):
        return F.dropout(att, self.dropout, self.training)

    def forward(self, x):
        q, k, v = self.qkv(x)
        q, k, v = self.split(q), self.split(k), self.split(v)
        att = self.scale(q @ k.transpose(-2, -1), k)
        att = F.softmax(self.hide(att), dim=-1)
        y = self.drop(att) @ v
        return self.finish(self.merge(y), x)

    def finish(self, y, x):
        return self.resid_dropout(self.c_proj(y))


@wrong("scale_by_model_width", contract=causal)
class Wide(CausalSelfAttention):
    def scale(self, att, k):
        return att / math.sqrt(self.n_embd)


@wrong("scale_missing", contract=causal)
class Unscaled(CausalSelfAttention):
    def scale(self, att, k):
        return att


@wrong("heads_split_by_view", contract=causal)
class Viewed(CausalSelfAttention):
    def split(self, x):
        B, T, C = x.size()
        return x.reshape(B, self.n_head, T, C // self.n_head)


@wrong("heads_merged_without_transpose", contract=causal)
class Merged(CausalSelfAttention):
    def merge(self, y):
        return y.contiguous().view(y.size(0), y.size(2), self.n_embd)


@wrong("causal_missing", contract=causal)
class Open(CausalSelfAttention):
    def hide(self, att):
        T = att.size(-1)
        att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        return att


@wrong("causal_reversed", contract=causal)
class Upper(CausalSelfAttention):
    def triangle(self, n):
        return torch.triu(torch.ones(n, n))


@wrong("mask_off_by_one", contract=causal)
class PlusOne(CausalSelfAttention):
    def triangle(self, n):
        return torch.tril(torch.ones(n, n), diagonal=1)


@wrong("chunk_order_wrong", contract=causal)
class OtherOrder(CausalSelfAttention):
    def qkv(self, x):
        k, q, v = self.c_attn(x).chunk(3, dim=-1)
        return q, k, v


@wrong("output_projection_missing", contract=causal)
class Unprojected(CausalSelfAttention):
    def finish(self, y, x):
        return self.resid_dropout(y)


@wrong("residual_added_to_layer", contract=causal)
class Residual(CausalSelfAttention):
    def finish(self, y, x):
        return x + super().finish(y, x)


@wrong("dropout_in_eval", contract=causal)
class AlwaysDrops(CausalSelfAttention):
    def drop(self, att):
        return F.dropout(att, self.dropout)


@wrong("dropout_not_rescaled", contract=causal)
class Thinned(CausalSelfAttention):
    def drop(self, att):
        if not self.training:
            return att
        return att * (torch.rand_like(att) >= self.dropout)


@wrong("bias_dropped", contract=causal)
class Functional(CausalSelfAttention):
    def qkv(self, x):
        return torch.split(x @ self.c_attn.weight.t(), self.n_embd, dim=-1)


class MinGPT(nn.Module):
    """Separate layers; the sizes are plain arguments."""

    fill = -1e9

    def __init__(self, n_embd, n_head, block_size=64, attn_pdrop=0.1, resid_pdrop=0.1):
        super().__init__()
        self.key = nn.Linear(n_embd, n_embd)
        self.query = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)
        self.attn_drop = nn.Dropout(attn_pdrop)
        self.resid_drop = nn.Dropout(resid_pdrop)
        self.proj = nn.Linear(n_embd, n_embd)
        self.register_buffer("mask", torch.tril(torch.ones(block_size, block_size)).view(1, 1, block_size, block_size))
        self.n_head = n_head

    def heads(self, x):
        B, T, C = x.size()
        k = self.key(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = self.query(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = self.value(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        return q, k, v

    def attend(self, q, k):
        T = q.size(-2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[:, :, :T, :T] == 0, self.fill)
        return F.softmax(att, dim=-1)

    def forward(self, x, layer_past=None):
        B, T, C = x.size()
        q, k, v = self.heads(x)
        y = self.attn_drop(self.attend(q, k)) @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_drop(self.proj(y))


@wrong("mask_fill_too_small", contract=causal)
class Faint(MinGPT):
    fill = -1


@wrong("mask_filled_with_zero", contract=causal)
class Zero(MinGPT):
    fill = 0


@wrong("query_key_swapped", contract=causal)
class Asked(MinGPT):
    def attend(self, q, k):
        return super().attend(k, q)


@wrong("mask_after_softmax", contract=causal)
class Late(MinGPT):
    def attend(self, q, k):
        T = q.size(-2)
        att = F.softmax((q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1)), dim=-1)
        return att.masked_fill(self.mask[:, :, :T, :T] == 0, 0)


@wrong("key_as_value", contract=causal)
class NoValues(MinGPT):
    def heads(self, x):
        q, k, _ = super().heads(x)
        return q, k, k


@wrong("projection_shared", contract=causal)
class Tied(MinGPT):
    def heads(self, x):
        B, T, C = x.size()
        h = self.query(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        return h, h, h
