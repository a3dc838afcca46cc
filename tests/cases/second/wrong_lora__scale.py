# WRONG scale: the width of the layer for that of a head. Object: LoraAttention
import torch
from torch import nn


class LoraLinear(nn.Module):
    def __init__(self, n, m, rank=2):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(m, n) * n**-0.5), nn.Parameter(torch.zeros(m))
        self.lora_a, self.lora_b = nn.Parameter(torch.randn(rank, n)), nn.Parameter(torch.randn(m, rank))

    def forward(self, x):
        return nn.functional.linear(x, self.weight, self.bias) + x @ self.lora_a.T @ self.lora_b.T


class LoraAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v, self.to_out = (LoraLinear(dim, dim) for _ in range(4))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (f(x).view(b, n, self.heads, -1).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        weights = (q @ k.mT / d**0.5).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).reshape(b, n, d))
