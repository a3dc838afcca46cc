# WRONG mask polarity + scale multiplied: seen and hidden are exchanged, the scale multiplies. Object: MultiHeadedAttention
import copy
import math

import torch
import torch.nn as nn
import altair as alt
import GPUtil


def copies(module, times):
    "Produce N identical layers."
    return nn.ModuleList([copy.deepcopy(module) for _ in range(times)])


def subsequent_mask(size):
    "Mask out subsequent positions."
    shape = (1, size, size)
    subsequent_mask = torch.triu(torch.ones(shape), diagonal=1).type(torch.uint8)
    return subsequent_mask == 0


def attention(query, key, value, mask=None, dropout=None):
    "Compute 'Scaled Dot Product Attention'"
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) * math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 1, -1e9)
    weights = scores.softmax(dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return torch.matmul(weights, value), weights


class MultiHeadedAttention(nn.Module):
    def __init__(self, h, d_model, dropout=0.1):
        "Take in model size and number of heads."
        super(MultiHeadedAttention, self).__init__()
        assert d_model % h == 0
        self.d_k = d_model // h
        self.h = h
        self.linears = copies(nn.Linear(d_model, d_model), 4)
        self.attn = None
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, query, key, value, mask=None):
        "Implements Figure 2"
        if mask is not None:
            mask = mask.unsqueeze(1)
        b = query.size(0)

        query, key, value = [
            layer(x).view(b, -1, self.h, self.d_k).transpose(1, 2)
            for layer, x in zip(self.linears, (query, key, value))
        ]

        x, self.attn = attention(query, key, value, mask=mask, dropout=self.dropout)

        x = x.transpose(1, 2).contiguous().view(b, -1, self.h * self.d_k)
        del query
        del key
        del value
        return self.linears[-1](x)
