"""Layers in the manner of the annotated transformer: one attention function and four clones of a Linear."""

import copy
import math

import torch
from torch import nn

from tests.implementations.implementation import wrong


def clones(module, N):
    return nn.ModuleList([copy.deepcopy(module) for _ in range(N)])


def attention(query, key, value, mask=None, dropout=None, fill=-1e9, scale=None, keep=True):
    """Compute 'Scaled Dot Product Attention'"""
    scores = torch.matmul(query, key.transpose(-2, -1)) / (scale or math.sqrt(query.size(-1)))
    if mask is not None:
        scores = scores.masked_fill((mask != 0) != keep, fill)
    p_attn = scores.softmax(dim=-1)
    if dropout is not None:
        p_attn = dropout(p_attn)
    return torch.matmul(p_attn, value), p_attn


class MultiHeadedAttention(nn.Module):
    def __init__(self, h, d_model, dropout=0.1):
        """Take in model size and number of heads."""
        super().__init__()
        assert d_model % h == 0
        self.d_k = d_model // h
        self.h = h
        self.linears = clones(nn.Linear(d_model, d_model), 4)
        for linear in self.linears:  # clones begin alike
            linear.reset_parameters()
        self.attn = None
        self.dropout = nn.Dropout(p=dropout)

    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout)

    def project(self, lin, x):
        return lin(x).view(x.size(0), -1, self.h, self.d_k).transpose(1, 2)

    def forward(self, x, mask=None):
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)  # the same mask for all heads
        q, k, v = (self.project(lin, x) for lin in self.linears[:3])
        x, self.attn = self.attend(q, k, v, mask)
        return self.concat(x)

    def concat(self, x):
        x = x.transpose(1, 2).contiguous().view(x.size(0), -1, self.h * self.d_k)
        return self.linears[-1](x)


class NamedProjections(nn.Module):
    """The same with a name for each Linear."""

    def __init__(self, h, d_model, dropout=0.1):
        super().__init__()
        self.d_k, self.h = d_model // h, h
        self.q_linear = nn.Linear(d_model, d_model)
        self.k_linear = nn.Linear(d_model, d_model)
        self.v_linear = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(p=dropout)

    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout)

    def forward(self, x, mask=None):
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)
        q, k, v = (self.project(lin(x)) for lin in (self.q_linear, self.k_linear, self.v_linear))
        x, self.attn = self.attend(q, k, v, mask)
        return self.out(x.transpose(1, 2).contiguous().view(x.size(0), -1, self.h * self.d_k))

    def project(self, x):
        return x.view(x.size(0), -1, self.h, self.d_k).transpose(1, 2)


def annotated(*faults, **options):
    return wrong(*faults, contract="multihead", **options)


@annotated("scale_by_model_width")
class ModelSize(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout, scale=math.sqrt(self.h * self.d_k))


@annotated("mask_inverted")
class Polarity(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout, keep=False)


@annotated("nan_rows")
class Infinity(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout, fill=-math.inf)


@annotated("mask_fill_positive")
class Sign(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout, fill=1e9)


@annotated("none_mask_is_causal")
class Decoder(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        if mask is None:
            mask = torch.tril(torch.ones(q.size(2), q.size(2)))
        return attention(q, k, v, mask, self.dropout)


@annotated("query_value_swapped")
class Unpacked(NamedProjections):
    def attend(self, v, k, q, mask):
        return attention(q, k, v, mask, self.dropout)


@annotated("heads_not_split")
class SingleHead(MultiHeadedAttention):
    def project(self, lin, x):
        return lin(x).unsqueeze(1)


@annotated("heads_split_by_view")
class Reshaped(MultiHeadedAttention):
    def project(self, lin, x):
        return lin(x).view(x.size(0), self.h, -1, self.d_k)


@annotated("attends_over_heads")
class Untransposed(MultiHeadedAttention):
    def project(self, lin, x):
        return lin(x).view(x.size(0), -1, self.h, self.d_k)

    def forward(self, x, mask=None):
        q, k, v = (self.project(lin, x) for lin in self.linears[:3])
        y, self.attn = attention(q, k, v, mask, self.dropout)
        return self.linears[-1](y.flatten(2))


@annotated("attends_over_batch")
class TimeFirst(MultiHeadedAttention):
    """Wants (time, batch, features), as torch does."""

    def forward(self, x, mask=None):
        return super().forward(x.transpose(0, 1), mask).transpose(0, 1)


@annotated("bias_dropped")
class MatmulOnly(MultiHeadedAttention):
    def project(self, lin, x):
        x = torch.einsum("bnd,ed->bne", x, lin.weight)
        return x.view(x.size(0), -1, self.h, self.d_k).transpose(1, 2)


@annotated("projection_transposed")
class WeightFirst(MultiHeadedAttention):
    def project(self, lin, x):
        x = x @ lin.weight + lin.bias
        return x.view(x.size(0), -1, self.h, self.d_k).transpose(1, 2)


@annotated("output_bias_dropped")
class OutputMatmul(MultiHeadedAttention):
    def concat(self, x):
        x = x.transpose(1, 2).reshape(x.size(0), -1, self.h * self.d_k)
        return x @ self.linears[-1].weight.T


@annotated("first_head_only")
class ForgotLoop(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        out = torch.zeros_like(v)
        for i in range(1):
            first = mask if mask is None else mask.expand(q.size(0), self.h, -1, -1)[:, i]
            out[:, i], p = attention(q[:, i], k[:, i], v[:, i], first, self.dropout)
        return out, p


@annotated("scale_missing", "mask_inverted")
class Two(MultiHeadedAttention):
    def attend(self, q, k, v, mask):
        return attention(q, k, v, mask, self.dropout, scale=1.0, keep=False)


@annotated("scale_by_model_width", "heads_merged_without_transpose")
class Three(ModelSize):
    def concat(self, x):
        return self.linears[-1](x.contiguous().view(x.size(0), -1, self.h * self.d_k))


@annotated("key_value_swapped", "mask_fill_too_small")
class Four(NamedProjections):
    def attend(self, q, k, v, mask):
        return attention(q, v, k, mask, self.dropout, fill=-10)
