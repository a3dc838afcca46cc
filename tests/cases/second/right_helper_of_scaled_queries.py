# RIGHT: a helper whose queries the layer has divided. Object: _attend
from typing import List

import torch
import torch.nn as nn


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, biases: List[torch.Tensor]) -> torch.Tensor:
    scores = torch.matmul(query, key.transpose(-1, -2))
    for bias in biases:
        scores = scores + bias
    return torch.matmul(torch.softmax(scores, dim=-1), value)


class Attention(nn.Module):
    def __init__(self, c_q, c_hidden, no_heads):
        super().__init__()
        self.c_hidden, self.no_heads = c_hidden, no_heads
        self.linear_q = nn.Linear(c_q, c_hidden * no_heads, bias=False)
        self.linear_k = nn.Linear(c_q, c_hidden * no_heads, bias=False)
        self.linear_v = nn.Linear(c_q, c_hidden * no_heads, bias=False)
        self.linear_o = nn.Linear(c_hidden * no_heads, c_q)

    def forward(self, x):
        q, k, v = (
            f(x).view(*x.shape[:-1], self.no_heads, -1).transpose(-2, -3)
            for f in (self.linear_q, self.linear_k, self.linear_v)
        )
        q = q / self.c_hidden**0.5
        out = _attend(q, k, v, []).transpose(-2, -3)
        return self.linear_o(out.reshape(*x.shape[:-1], -1))
