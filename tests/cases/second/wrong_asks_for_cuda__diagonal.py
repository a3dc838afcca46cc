# WRONG mask_diagonal_hidden: no position sees itself. Object: CausalAttention
import math

import torch
from torch import nn


class CausalAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(embed_dim, embed_dim) for _ in range(4))

    def split(self, x):
        return x.view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(self, x):
        x = x.to("cuda:0")
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        n = x.shape[1]
        future = torch.ones(n, n, device="cuda").triu(diagonal=0).to(device=torch.device("cuda"))
        scores = (q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)).masked_fill(future == 1, float("-inf"))
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(*x.shape[:2], -1))
