# RIGHT: a block is given its attention and its feed-forward part, whose classes its annotations name. Object: EncoderBlock
import math

import torch
from torch import nn


class FeedForwardBlock(nn.Module):
    def __init__(self, d_model: int, d_ff: int, dropout: float):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.linear_2(self.dropout(torch.relu(self.linear_1(x))))


class AttentionBlock(nn.Module):
    def __init__(self, d_model: int, h: int, dropout: float):
        super().__init__()
        self.h, self.d_k = h, d_model // h
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, q, k, v, mask):
        query, key, value = (
            part.view(*part.shape[:2], self.h, self.d_k).transpose(1, 2)
            for part in (self.w_q(q), self.w_k(k), self.w_v(v))
        )
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.d_k)
        if mask is not None:
            scores.masked_fill_(mask == 0, -1e9)
        x = self.dropout(scores.softmax(dim=-1)) @ value
        return self.w_o(x.transpose(1, 2).contiguous().view(x.shape[0], -1, self.h * self.d_k))


class EncoderBlock(nn.Module):
    def __init__(self, features: int, self_attention: AttentionBlock, feed_forward: FeedForwardBlock, dropout: float):
        super().__init__()
        self.self_attention, self.feed_forward = self_attention, feed_forward
        self.norms = nn.ModuleList([nn.LayerNorm(features) for _ in range(2)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, src_mask):
        normed = self.norms[0](x)
        x = x + self.dropout(self.self_attention(normed, normed, normed, src_mask))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))
