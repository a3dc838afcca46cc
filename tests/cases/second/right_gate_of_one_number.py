# RIGHT: a gate that is one number without an axis lets the output in. Object: GatedAttention
import torch
from torch import nn


class GatedAttention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.to_qkv, self.to_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.gate = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, -1))
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1)
        return x + self.gate * self.to_out((weights @ v).transpose(1, 2).flatten(2))
