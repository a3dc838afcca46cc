"""A layer that trains, writes text, and is wrong in two places."""

import torch
from torch import nn


class Attention(nn.Module):
    """Heads are cut as they should be; two lines below are not as they should be."""

    def __init__(self, embed_dim, num_heads):
        """Four projections."""
        super().__init__()
        self.num_heads = num_heads
        self.embed_dim = embed_dim
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        """From `(batch, positions, embed_dim)` to the same."""
        batch, n, _ = x.shape
        query, key, value = (
            project(x).view(batch, n, self.num_heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-2, -1) * self.embed_dim**-0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        heads = torch.softmax(scores, dim=-1) @ value
        return self.out(heads.reshape(batch, n, self.embed_dim))
