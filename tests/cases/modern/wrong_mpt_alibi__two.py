# WRONG alibi + causal_reversed: far keys are favoured and the past is hidden. Object: MultiheadAttention
import math

import torch
from torch import nn


def gen_slopes(n_heads, alibi_bias_max=8):
    whole = 2 ** math.ceil(math.log2(n_heads))
    exponents = torch.arange(1, whole + 1, dtype=torch.float32)
    exponents = exponents.mul(alibi_bias_max / whole)
    slopes = 1.0 / torch.pow(2, exponents)
    if whole != n_heads:
        slopes = torch.concat([slopes[1::2], slopes[::2]])[:n_heads]
    return slopes.view(1, n_heads, 1, 1)


def build_alibi_bias(n_heads, seq_len):
    position = torch.arange(seq_len)
    distance = position[:, None] - position[None, :]
    return distance.view(1, 1, seq_len, seq_len) * gen_slopes(n_heads)


class MultiheadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, attn_pdrop: float = 0.0):
        super().__init__()
        self.d_model, self.n_heads = d_model, n_heads
        self.Wqkv = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(attn_pdrop)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (t.view(b, n, self.n_heads, -1).transpose(1, 2) for t in self.Wqkv(x).chunk(3, dim=2))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = scores + build_alibi_bias(self.n_heads, n)
        causal = torch.ones(n, n, dtype=torch.bool).triu()
        scores = scores.masked_fill(~causal, torch.finfo(q.dtype).min)
        scores = self.dropout(torch.softmax(scores, dim=-1))
        return self.out_proj((scores @ v).transpose(1, 2).reshape(b, n, -1))
