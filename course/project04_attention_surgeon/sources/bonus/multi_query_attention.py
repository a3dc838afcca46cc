"""Bonus 4, multi-query attention: every head has queries of its own, all share one key and one value."""

import torch
from torch import nn


class MultiQueryAttention(nn.Module):
    """Keys and values are as wide as ONE head: less to compute, and far less to remember while writing."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_size = embed_dim // num_heads
        # BEGIN SOLUTION
        # STUB: # query and output as always; how wide are key and value?
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, self.head_size)
        self.value = nn.Linear(embed_dim, self.head_size)
        self.output = nn.Linear(embed_dim, embed_dim)
        # END SOLUTION

    def forward(self, x):
        """Return the output (batch, n, embed_dim) for x (batch, n, embed_dim)."""
        # BEGIN SOLUTION
        # STUB: # 1. Q: (batch, num_heads, n, head_size); K, V: (batch, 1, n, head_size), the 1 spreads over the heads
        # STUB: # 2. attend, merge, project as in lab 1
        batch, n, embed_dim = x.shape
        Q = self.query(x).reshape(batch, n, self.num_heads, self.head_size).transpose(1, 2)
        K = self.key(x)[:, None]
        V = self.value(x)[:, None]
        weights = torch.softmax(Q @ K.transpose(-2, -1) / self.head_size**0.5, dim=-1)
        gathered = (weights @ V).transpose(1, 2).reshape(batch, n, embed_dim)
        return self.output(gathered)
        # END SOLUTION
