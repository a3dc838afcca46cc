# RIGHT: sigmoid attention with a bias of -log n; it is not softmax attention, and no mistake. Object: SigmoidAttention
import math

import torch
from torch import nn


class SigmoidAttention(nn.Module):
    """Ramapuram et al. 2024."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        weights = torch.sigmoid(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) - math.log(n))
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))
