"""Layers in the manner of the book that builds a language model from scratch."""

import torch
from torch import nn

from tests.implementations.implementation import wrong


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def weights(self, attn_scores, keys, mask):
        if mask is not None:
            attn_scores = attn_scores.masked_fill(mask == 0, -1e9)
        return torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)

    def forward(self, x, mask=None):
        keys = self.W_key(x)
        queries = self.W_query(x)
        values = self.W_value(x)
        return self.weights(queries @ keys.transpose(-2, -1), keys, mask) @ values


@wrong("scale_missing", contract="self")
class Simplified(SelfAttention):
    def weights(self, attn_scores, keys, mask):
        if mask is not None:
            attn_scores = attn_scores.masked_fill(mask == 0, -1e9)
        return torch.softmax(attn_scores, dim=-1)


@wrong("scale_by_num_keys", contract="self")
class FirstAxis(SelfAttention):
    def weights(self, attn_scores, keys, mask):
        if mask is not None:
            attn_scores = attn_scores.masked_fill(mask == 0, -1e9)
        return torch.softmax(attn_scores / keys.shape[-2] ** 0.5, dim=-1)


@wrong("mask_after_softmax", contract="self")
class MaskedSimple(SelfAttention):
    def weights(self, attn_scores, keys, mask):
        attn_weights = torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)
        return attn_weights if mask is None else attn_weights * mask


@wrong("mask_inverted", contract="self")
class Shipped(SelfAttention):
    def weights(self, attn_scores, keys, mask):
        if mask is not None:
            attn_scores = attn_scores.masked_fill(mask.bool(), -1e9)
        return torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)


@wrong("softmax_over_queries", contract="self")
class DimOne(SelfAttention):
    def weights(self, attn_scores, keys, mask):
        if mask is not None:
            attn_scores = attn_scores.masked_fill(mask == 0, -1e9)
        return torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        assert d_out % num_heads == 0, "d_out must be divisible by num_heads"
        self.d_out = d_out
        self.num_heads = num_heads
        self.head_dim = d_out // num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", torch.triu(torch.ones(context_length, context_length), diagonal=1))

    def heads(self, t):
        b, num_tokens, _ = t.shape
        return t.view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)

    def hide(self, attn_scores):
        num_tokens = attn_scores.shape[-1]
        return attn_scores.masked_fill(self.mask.bool()[:num_tokens, :num_tokens], -torch.inf)

    def forward(self, x):
        b, num_tokens, _ = x.shape
        keys, queries, values = self.heads(self.W_key(x)), self.heads(self.W_query(x)), self.heads(self.W_value(x))
        attn_scores = self.hide(queries @ keys.transpose(2, 3))
        attn_weights = torch.softmax(attn_scores / self.root(keys), dim=-1)
        context_vec = (self.dropout(attn_weights) @ values).transpose(1, 2)
        return self.out_proj(context_vec.contiguous().view(b, num_tokens, self.d_out))

    def root(self, keys):
        return keys.shape[-1] ** 0.5


def book(*faults):
    return wrong(*faults, contract="causal_multihead")


@book("mask_inverted")
class TwoYears(MultiHeadAttention):
    def hide(self, attn_scores):
        n = attn_scores.shape[-1]
        return attn_scores.masked_fill(~self.mask.bool()[:n, :n], -1e9)


@book("scale_by_model_width")
class DOut(MultiHeadAttention):
    def root(self, keys):
        return self.d_out**0.5


@book("scale_by_num_keys")
class Tokens(MultiHeadAttention):
    def root(self, keys):
        return keys.shape[2] ** 0.5


@book("mask_diagonal_hidden")
class Strict(MultiHeadAttention):
    def hide(self, attn_scores):
        n = attn_scores.shape[-1]
        return attn_scores.masked_fill(torch.triu(torch.ones(n, n, dtype=torch.bool)), -1e9)


@book("heads_split_by_view")
class NoTranspose(MultiHeadAttention):
    def heads(self, t):
        b, num_tokens, _ = t.shape
        return t.view(b, self.num_heads, num_tokens, self.head_dim)


@book("causal_missing")
class NotAssigned(MultiHeadAttention):
    def hide(self, attn_scores):
        attn_scores.masked_fill(self.mask.bool()[: attn_scores.shape[-1], : attn_scores.shape[-1]], -torch.inf)
        return attn_scores


@book("causal_missing", "scale_by_model_width")
class TwoSlips(NotAssigned):
    def root(self, keys):
        return self.d_out**0.5


@book("heads_split_by_view", "scale_missing", "mask_off_by_one")
class ThreeSlips(NoTranspose):
    def hide(self, attn_scores):
        n = attn_scores.shape[-1]
        return attn_scores.masked_fill(self.mask[:n, :n].triu(2).bool(), -torch.inf)

    def root(self, keys):
        return 1
