# WRONG softmax axis: the softmax runs over the queries. Object: Paired
import torch
from torch import nn


class Paired(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.size = heads, dim // heads
        self.to_q, self.to_kv, self.to_out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def split(self, x):
        return x.view(*x.shape[:2], self.heads, self.size).transpose(1, 2)

    def forward(self, x, mask=None, context=None, context_mask=None):
        other = x if context is None else context
        k, v = map(self.split, self.to_kv(other).chunk(2, -1))
        scores = self.split(self.to_q(x)) @ k.mT * self.size**-0.5
        if mask is not None:
            ones = torch.ones(1, other.shape[1], dtype=torch.bool)
            theirs = mask if context is None else ones if context_mask is None else context_mask
            seen = mask[:, None, :, None] & theirs[:, None, None, :]
            scores = scores.masked_fill(~seen, -torch.finfo(scores.dtype).max)
        return self.to_out((scores.softmax(-2) @ v).transpose(1, 2).reshape(x.shape))
