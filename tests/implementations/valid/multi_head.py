"""Multi-head modules in PyTorch: three Linears, and the ways to split and merge."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


def _four(width, bias=True):
    return [nn.Linear(width, width, bias=bias) for _ in range(4)]


@valid("multihead")
class MultiHeadAttention(nn.Module):
    """The usual way."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        assert embed_dim % num_heads == 0, "embed_dim must be divisible by num_heads"
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.query, self.key, self.value, self.out = _four(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        b, n, c = x.shape
        q = self.query(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        k = self.key(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        v = self.value(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        weights = self.dropout(torch.nan_to_num(F.softmax(scores, dim=-1)))
        return self.out((weights @ v).transpose(1, 2).contiguous().view(b, n, c)), weights


def clones(layer, count):
    """Equal layers, each with its own parameters."""
    return nn.ModuleList([copy.deepcopy(layer) for _ in range(count)])


@valid("multihead")
class MultiHeadedAttention(nn.Module):
    """Four clones of one Linear; takes masks of (batch, queries, keys)."""

    def __init__(self, d_model, h, dropout=0.1):
        super().__init__()
        self.d_k = d_model // h
        self.h = h
        self.linears = clones(nn.Linear(d_model, d_model), 4)
        self.attn = None
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x, mask=None):
        if mask is not None:
            mask = mask.unsqueeze(1)
        nbatches = x.size(0)
        q, k, v = (layer(x).view(nbatches, -1, self.h, self.d_k).transpose(1, 2) for layer in self.linears[:3])
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(self.d_k)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        self.attn = self.dropout(scores.softmax(dim=-1))
        x = torch.matmul(self.attn, v).transpose(1, 2).contiguous().view(nbatches, -1, self.h * self.d_k)
        return self.linears[-1](x)


@valid("multihead", mask="additive")
class BertSelfAttention(nn.Module):
    """As in BERT: `transpose_for_scores`, an additive mask, and an output layer."""

    def __init__(self, hidden_size, num_attention_heads, dropout=0.1):
        super().__init__()
        self.num_attention_heads = num_attention_heads
        self.attention_head_size = hidden_size // num_attention_heads
        self.all_head_size = self.num_attention_heads * self.attention_head_size
        self.query = nn.Linear(hidden_size, self.all_head_size)
        self.key = nn.Linear(hidden_size, self.all_head_size)
        self.value = nn.Linear(hidden_size, self.all_head_size)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def transpose_for_scores(self, x):
        return x.view(*x.size()[:-1], self.num_attention_heads, self.attention_head_size).permute(0, 2, 1, 3)

    def forward(self, hidden_states, attention_mask=None):
        query_layer = self.transpose_for_scores(self.query(hidden_states))
        key_layer = self.transpose_for_scores(self.key(hidden_states))
        value_layer = self.transpose_for_scores(self.value(hidden_states))
        attention_scores = torch.matmul(query_layer, key_layer.transpose(-1, -2))
        attention_scores = attention_scores / math.sqrt(self.attention_head_size)
        if attention_mask is not None:
            attention_scores = attention_scores + attention_mask.clamp(min=torch.finfo(hidden_states.dtype).min / 2)
        attention_probs = nn.functional.softmax(attention_scores, dim=-1)
        context_layer = torch.matmul(self.dropout(attention_probs), value_layer).permute(0, 2, 1, 3).contiguous()
        context_layer = context_layer.view(*context_layer.size()[:-2], self.all_head_size)
        return self.dense(context_layer), attention_probs


@valid("multihead")
class EinsumHeads(nn.Module):
    """No transpose at all: the letters do it."""

    def __init__(self, dim, heads, dropout=0.0):
        super().__init__()
        self.heads, self.p = heads, dropout
        self.wq, self.wk, self.wv, self.wo = _four(dim, bias=False)

    def forward(self, x, mask=None):
        q, k, v = (w(x).unflatten(-1, (self.heads, -1)) for w in (self.wq, self.wk, self.wv))
        s = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        if mask is not None:
            s = s.masked_fill(mask == 0, -1e9)
        w = F.dropout(s.softmax(-1), self.p, self.training)
        return self.wo(torch.einsum("bhqk,bkhd->bqhd", w, v).flatten(2)), w


@valid("multihead")
class HeadsFoldedIntoTheBatch(nn.Module):
    """Heads times batch as one axis, joined by `split` and `cat`."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.h = num_heads
        self.q_linear, self.k_linear, self.v_linear, self.fc = _four(embed_dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        q, k, v = (
            torch.cat(layer(x).chunk(self.h, dim=-1), dim=0) for layer in (self.q_linear, self.k_linear, self.v_linear)
        )
        s = torch.bmm(q, k.transpose(1, 2)) / k.shape[-1] ** 0.5
        if mask is not None:
            keep = mask.expand(x.shape[0], x.shape[1], x.shape[1]).repeat(self.h, 1, 1)
            s = s.masked_fill(keep == 0, -1e9)
        out = torch.bmm(self.drop(s.softmax(-1)), v)
        return self.fc(torch.cat(out.split(x.shape[0], dim=0), dim=-1))


@valid("multihead")
class ReshapeAndSwap(nn.Module):
    """`reshape` and `swapaxes`; any mask of two, three or four axes."""

    def __init__(self, embed_dim, num_heads, dropout=0.1, bias=True):
        super().__init__()
        self.num_heads = num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = _four(embed_dim, bias)
        self.attn_dropout = nn.Dropout(dropout)

    def _split(self, t):
        return t.reshape(t.shape[0], t.shape[1], self.num_heads, -1).swapaxes(1, 2)

    def forward(self, x, mask=None):
        q, k, v = self._split(self.W_q(x)), self._split(self.W_k(x)), self._split(self.W_v(x))
        s = (q * q.shape[-1] ** -0.5) @ k.swapaxes(-1, -2)
        if mask is not None:
            mask = mask[:, None] if mask.ndim == 3 else mask
            s = torch.where(mask.bool(), s, torch.finfo(s.dtype).min)
        y = (self.attn_dropout(s.softmax(-1)) @ v).swapaxes(1, 2)
        return self.W_o(y.reshape(x.shape))


@valid("multihead")
class LoopOverHeads(nn.Module):
    """Slices of the features, one head after the other."""

    def __init__(self, n_embd, n_heads, dropout=0.1):
        super().__init__()
        self.n_heads, self.size = n_heads, n_embd // n_heads
        self.q, self.k, self.v, self.o = _four(n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None, return_weights=False):
        q, k, v = self.q(x), self.k(x), self.v(x)
        outputs = []
        for h in range(self.n_heads):
            part = slice(h * self.size, (h + 1) * self.size)
            s = q[:, :, part] @ k[:, :, part].transpose(1, 2) / self.size**0.5
            if mask is not None:
                s = s.masked_fill(mask == 0, -1e9)
            outputs.append(self.dropout(torch.softmax(s, -1)) @ v[:, :, part])
        return self.o(torch.cat(outputs, dim=-1))


class Head(nn.Module):
    """One head with its own three Linears."""

    def __init__(self, n_embd, head_size, dropout):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        k, q, v = self.key(x), self.query(x), self.value(x)
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        if mask is not None:
            wei = wei.masked_fill(mask == 0, -1e9)
        return self.dropout(F.softmax(wei, dim=-1)) @ v


@valid("multihead")
class ListOfHeads(nn.Module):
    """Several heads in parallel, concatenated, and projected."""

    def __init__(self, n_embd, num_heads, dropout=0.1):
        super().__init__()
        self.heads = nn.ModuleList([Head(n_embd, n_embd // num_heads, dropout) for _ in range(num_heads)])
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x, mask=None):
        return self.proj(torch.cat([h(x, mask) for h in self.heads], dim=-1))


@valid("multihead")
class SumOverHeads(nn.Module):
    """No concatenation: each head goes through its columns of the output matrix, and the results are added."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.out = _four(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        q, k, v = (f(x).unflatten(-1, (self.num_heads, -1)).movedim(-2, 1) for f in (self.query, self.key, self.value))
        s = q @ k.mT / q.shape[-1] ** 0.5
        if mask is not None:
            s = s.masked_fill(mask == 0, -1e9)
        heads = (self.dropout(s.softmax(-1)) @ v).unbind(1)
        parts = self.out.weight.chunk(self.num_heads, dim=1)
        return sum(head @ part.T for head, part in zip(heads, parts, strict=True)) + self.out.bias


@valid("multihead")
class MaskOfKeys(nn.Module):
    """Takes (batch, keys): 1 for a token, 0 for padding."""

    def __init__(self, hidden_dim, num_heads, dropout=0.1):
        super().__init__()
        self.nh = num_heads
        self.lin_q, self.lin_k, self.lin_v, self.lin_out = _four(hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        bs, length, width = x.size()
        q, k, v = (f(x).view(bs, length, self.nh, -1).transpose(1, 2) for f in (self.lin_q, self.lin_k, self.lin_v))
        s = torch.matmul(q / math.sqrt(width // self.nh), k.transpose(2, 3))
        if mask is not None:
            s = s.masked_fill((mask == 0).view(bs, 1, 1, length).expand_as(s), -1e30)
        context = torch.matmul(self.dropout(s.softmax(-1)), v)
        return self.lin_out(context.transpose(1, 2).contiguous().view(bs, -1, width))
