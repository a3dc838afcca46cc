"""Bonus 4, multi-query attention: every head has queries of its own, all share one key and one value."""

import torch
from torch import nn


class MultiQueryAttention(nn.Module):
    """Keys and values are as wide as ONE head: less to compute, and far less to remember while writing."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_size = embed_dim // num_heads
        # YOUR CODE HERE
        # query and output as always; how wide are key and value?
        raise NotImplementedError("MultiQueryAttention.__init__: write this part")

    def forward(self, x):
        """Return the output (batch, n, embed_dim) for x (batch, n, embed_dim)."""
        # YOUR CODE HERE
        # 1. Q: (batch, num_heads, n, head_size); K, V: (batch, 1, n, head_size), the 1 spreads over the heads
        # 2. attend, merge, project as in lab 1
        raise NotImplementedError("MultiQueryAttention.forward: write this part")
