# WRONG weights_returned_differ: the weights of other sequences come back. Object: FoldedHeads
import math

import torch
from torch import nn


class FoldedHeads(nn.Module):
    def __init__(self, n_head, d_model, d_k, d_v):
        super().__init__()
        self.n_head, self.d_k, self.d_v = n_head, d_k, d_v
        self.to_q = nn.Linear(d_model, n_head * d_k)
        self.to_k = nn.Linear(d_model, n_head * d_k)
        self.to_v = nn.Linear(d_model, n_head * d_v)
        self.last = nn.Linear(n_head * d_v, d_model)

    def folded(self, x, size):
        b, n, _ = x.shape
        return x.view(b, n, self.n_head, size).permute(2, 0, 1, 3).reshape(self.n_head * b, n, size)

    def forward(self, q, k, v):
        b, n, _ = q.shape
        asks = self.folded(self.to_q(q), self.d_k)
        answers = self.folded(self.to_k(k), self.d_k)
        gives = self.folded(self.to_v(v), self.d_v)
        attn = torch.bmm(asks, answers.mT) / math.sqrt(self.d_k)
        attn = attn.softmax(-1)
        mixed = torch.bmm(attn, gives).view(self.n_head, b, n, self.d_v)
        return self.last(mixed.permute(1, 2, 0, 3).reshape(b, n, -1)), attn.flip(0)
