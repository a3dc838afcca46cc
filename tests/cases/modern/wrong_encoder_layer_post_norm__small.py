# WRONG mask fill: the fill is the smallest positive number of float32. Object: AttentionSublayer
import math

import torch
import torch.nn as nn


class AttentionSublayer(nn.Module):
    """LayerNorm(x + Dropout(MultiHead(x)))"""

    def __init__(self, d_model=32, n_head=4, drop_prob=0.1):
        super().__init__()
        self.n_head = n_head
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_concat = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(p=drop_prob)
        self.softmax = nn.Softmax(dim=-1)

    def split(self, tensor):
        batch_size, length, d_model = tensor.size()
        width = d_model // self.n_head
        return tensor.view(batch_size, length, self.n_head, width).transpose(1, 2)

    def concat(self, tensor):
        batch_size, head, length, width = tensor.size()
        return tensor.transpose(1, 2).contiguous().view(batch_size, length, head * width)

    def forward(self, x, src_mask=None):
        before = x
        q, k, v = self.split(self.w_q(x)), self.split(self.w_k(x)), self.split(self.w_v(x))
        width = k.size(-1)
        weights = (q @ k.transpose(2, 3)) / math.sqrt(width)
        if src_mask is not None:
            weights = weights.masked_fill(src_mask == 0, torch.finfo(torch.float32).tiny)
        weights = self.softmax(weights)
        out = self.w_concat(self.concat(weights @ v))
        out = self.dropout(out)
        return self.norm(out + before)
