# WRONG projection_unused: the tokens themselves are mixed. Object: MeanPool
import torch
from torch import nn


class MeanPool(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.to_q, self.to_k, self.to_v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x):
        asked = x.mean(dim=1, keepdim=True)
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (self.to_q(asked), self.to_k(x), x)
        )
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2)).squeeze(1)
