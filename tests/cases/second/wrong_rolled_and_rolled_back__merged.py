# WRONG heads_merged_without_transpose: heads and positions do not change places. Object: Rolled
import torch
from torch import nn


class Rolled(nn.Module):
    def __init__(self, dim, num_heads, shift=2):
        super().__init__()
        self.num_heads, self.shift, self.scale = num_heads, shift, (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        x = torch.roll(x, -self.shift, dims=1)
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(dim=-1)
        x = self.proj((weights @ v).reshape(b, n, c))
        return torch.roll(x, self.shift, dims=1)
