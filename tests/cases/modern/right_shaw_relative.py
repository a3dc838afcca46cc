# RIGHT: relative position vectors are added to keys, clipped at a distance (Shaw et al.). Object: RelativeAttention
import math

import torch
from torch import nn


class RelativeAttention(nn.Module):
    def __init__(self, d_model, num_heads, max_relative_position=3):
        super().__init__()
        self.h, self.d = num_heads, d_model // num_heads
        self.k = max_relative_position
        self.fc_q = nn.Linear(d_model, d_model)
        self.fc_k = nn.Linear(d_model, d_model)
        self.fc_v = nn.Linear(d_model, d_model)
        self.fc_o = nn.Linear(d_model, d_model)
        self.relative_k = nn.Embedding(2 * self.k + 1, self.d)
        self.relative_v = nn.Embedding(2 * self.k + 1, self.d)

    def distances(self, n):
        steps = torch.arange(n)
        return (steps[None, :] - steps[:, None]).clamp(-self.k, self.k) + self.k

    def forward(self, x):
        b, n, e = x.shape
        q, k, v = (f(x).view(b, n, self.h, self.d).transpose(1, 2) for f in (self.fc_q, self.fc_k, self.fc_v))
        index = self.distances(n)
        r_k, r_v = self.relative_k(index), self.relative_v(index)  # (n, n, d)
        scores = q @ k.transpose(-2, -1) + torch.einsum("bhqd,qkd->bhqk", q, r_k)
        weights = torch.softmax(scores / math.sqrt(self.d), dim=-1)
        out = weights @ v + torch.einsum("bhqk,qkd->bhqd", weights, r_v)
        return self.fc_o(out.transpose(1, 2).reshape(b, n, e))
