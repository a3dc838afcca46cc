"""Modules whose query heads share keys and values: `grouped` and `multiquery`."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


def repeat_kv(x, n_rep):
    """(batch, length, key heads, size) to (batch, length, query heads, size)."""
    bs, slen, n_kv_heads, head_dim = x.shape
    if n_rep == 1:
        return x
    x = x[:, :, :, None, :].expand(bs, slen, n_kv_heads, n_rep, head_dim)
    return x.reshape(bs, slen, n_kv_heads * n_rep, head_dim)


@valid("grouped")
class LlamaAttention(nn.Module):
    """`wq`, `wk`, `wv`, `wo` and `repeat_kv`."""

    def __init__(self, dim, n_heads, n_kv_heads):
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, dim // n_heads
        self.wq = nn.Linear(dim, n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(n_heads * self.head_dim, dim, bias=False)

    def forward(self, x, mask=None):
        b, n, _ = x.shape
        xq = self.wq(x).view(b, n, self.n_heads, self.head_dim)
        xk = self.wk(x).view(b, n, self.n_kv_heads, self.head_dim)
        xv = self.wv(x).view(b, n, self.n_kv_heads, self.head_dim)
        rep = self.n_heads // self.n_kv_heads
        xq, xk, xv = (t.transpose(1, 2) for t in (xq, repeat_kv(xk, rep), repeat_kv(xv, rep)))
        scores = torch.matmul(xq, xk.transpose(2, 3)) / math.sqrt(self.head_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return self.wo((scores.softmax(-1) @ xv).transpose(1, 2).contiguous().view(b, n, -1))


@valid("grouped")
class RepeatInterleave(nn.Module):
    """Each head of the keys is repeated for its group."""

    def __init__(self, embed_dim, num_heads, num_kv_heads, dropout=0.1):
        super().__init__()
        self.h, self.h_kv, self.d = num_heads, num_kv_heads, embed_dim // num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, self.h_kv * self.d)
        self.value = nn.Linear(embed_dim, self.h_kv * self.d)
        self.out = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        q = self.query(x).unflatten(-1, (self.h, self.d)).transpose(1, 2)
        k = self.key(x).unflatten(-1, (self.h_kv, self.d)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (self.h_kv, self.d)).transpose(1, 2)
        k = torch.repeat_interleave(k, self.h // self.h_kv, dim=1)
        v = torch.repeat_interleave(v, self.h // self.h_kv, dim=1)
        s = q @ k.mT * self.d**-0.5
        if mask is not None:
            s = s.masked_fill(mask == 0, -torch.inf)
        w = s.softmax(-1).nan_to_num()
        return self.out((self.dropout(w) @ v).transpose(1, 2).flatten(2)), w


@valid("grouped")
class GroupsInTheEinsum(nn.Module):
    """Nothing is repeated: the group is an axis of the query."""

    def __init__(self, d_model, n_heads, n_kv_heads):
        super().__init__()
        self.g, self.size = n_kv_heads, d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, n_kv_heads * self.size)
        self.v_proj = nn.Linear(d_model, n_kv_heads * self.size)
        self.o_proj = nn.Linear(d_model, d_model)

    def forward(self, x, mask=None):
        q = self.q_proj(x).unflatten(-1, (self.g, -1, self.size))
        k = self.k_proj(x).unflatten(-1, (self.g, self.size))
        v = self.v_proj(x).unflatten(-1, (self.g, self.size))
        s = torch.einsum("bqgrd,bkgd->bgrqk", q, k) / self.size**0.5
        if mask is not None:
            s = s.masked_fill(mask.reshape(-1, 1, 1, *mask.shape[-2:]) == 0, -1e9)
        out = torch.einsum("bgrqk,bkgd->bqgrd", s.softmax(-1), v)
        return self.o_proj(out.flatten(2))


@valid("grouped")
class TorchGroups(nn.Module):
    """The function of PyTorch with `enable_gqa`, keys and values packed."""

    def __init__(self, hidden_size, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.head_dim = hidden_size // num_heads
        self.q_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.kv_proj = nn.Linear(hidden_size, 2 * num_kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, mask=None):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (t.unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for t in self.kv_proj(x).chunk(2, -1))
        keep = None if mask is None else mask.bool()
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, enable_gqa=True).nan_to_num()
        return self.o_proj(y.transpose(1, 2).flatten(2))


@valid("grouped")
class LoopOverQueryHeads(nn.Module):
    """Head h reads keys and values of head h // group."""

    def __init__(self, embed_dim, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.group = num_heads, num_heads // num_kv_heads
        self.size = embed_dim // num_heads
        self.W_q = nn.Linear(embed_dim, embed_dim)
        self.W_k = nn.Linear(embed_dim, num_kv_heads * self.size)
        self.W_v = nn.Linear(embed_dim, num_kv_heads * self.size)
        self.W_o = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        q, k, v = (f(x).split(self.size, -1) for f in (self.W_q, self.W_k, self.W_v))
        out = []
        for h in range(self.num_heads):
            s = q[h] @ k[h // self.group].mT / self.size**0.5
            s = s if mask is None else s.masked_fill(mask == 0, -1e9)
            out.append(s.softmax(-1) @ v[h // self.group])
        return self.W_o(torch.cat(out, -1))


@valid("multiquery")
class MultiQuery(nn.Module):
    """One key head that broadcasts over the query heads."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, self.head_dim)
        self.value = nn.Linear(embed_dim, self.head_dim)
        self.out = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q = self.query(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        k, v = self.key(x).unsqueeze(1), self.value(x).unsqueeze(1)
        s = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        if mask is not None:
            s = s.masked_fill(mask == 0, -1e9)
        w = self.dropout(s.softmax(-1))
        return self.out((w @ v).transpose(1, 2).reshape(b, n, d)), w


@valid("multiquery")
class MultiQueryEinsum(nn.Module):
    """The letters leave the head out of keys and values."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.wq = nn.Linear(d_model, d_model, bias=False)
        self.wk = nn.Linear(d_model, d_model // n_heads, bias=False)
        self.wv = nn.Linear(d_model, d_model // n_heads, bias=False)
        self.wo = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, mask=None):
        q = self.wq(x).unflatten(-1, (self.n_heads, -1))
        k = self.wk(x) * q.shape[-1] ** -0.5
        s = torch.einsum("bqhd,bkd->bhqk", q, k)
        if mask is not None:
            s = torch.where(mask.bool(), s, -1e9)
        return self.wo(torch.einsum("bhqk,bkd->bqhd", s.softmax(-1), self.wv(x)).flatten(2))


@valid("multiquery")
class QueriesAsOneLongSequence(nn.Module):
    """Heads times queries as one axis: one product for all heads; expand and reshape for the mask."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim // num_heads)
        self.v_proj = nn.Linear(embed_dim, embed_dim // num_heads)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q = self.q_proj(x).view(b, n * self.num_heads, d // self.num_heads)
        s = torch.bmm(q, self.k_proj(x).transpose(1, 2)) / math.sqrt(d // self.num_heads)
        if mask is not None:
            s = s.masked_fill(mask.expand(b, n, n).repeat_interleave(self.num_heads, dim=1) == 0, -1e9)
        return self.out_proj(torch.bmm(s.softmax(-1), self.v_proj(x)).view(b, n, d))
