# WRONG scale_missing: with the switch off neither part is scaled. Object: DistanceAttention
import torch
from torch import nn


class DistanceAttention(nn.Module):
    def __init__(self, dim, num_heads, max_len=64, scale_pos_embed=False):
        super().__init__()
        self.num_heads, self.max_len, self.scale_pos_embed = num_heads, max_len, scale_pos_embed
        self.scale = (dim // num_heads) ** -0.5
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.distances = nn.Parameter(torch.randn(2 * max_len - 1, dim // num_heads))

    def forward(self, x):
        n = x.shape[1]
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        places = torch.arange(n)
        added = torch.einsum("bhid,ijd->bhij", q, self.distances[places[:, None] - places + self.max_len - 1])
        if self.scale_pos_embed:
            scores = (q @ k.mT + added) * self.scale
        else:
            scores = q @ k.mT + added
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
