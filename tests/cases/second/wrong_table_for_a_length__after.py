# WRONG bias: it is added to the weights. Object: TableAttention
import torch
from torch import nn


class TableAttention(nn.Module):
    def __init__(self, dim, num_heads, side=4):
        super().__init__()
        self.num_heads = num_heads
        self.biases = nn.Parameter(torch.randn(num_heads, side**2, side**2))
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) + self.biases
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))
