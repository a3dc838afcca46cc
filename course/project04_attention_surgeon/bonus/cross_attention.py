"""Bonus 3, cross-attention with a mask: one sequence asks another one, whose padding must not answer."""

import torch
from torch import nn


class CrossAttention(nn.Module):
    """Queries from x, keys and values from the context."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        # YOUR CODE HERE
        # num_heads, and four projections nn.Linear(embed_dim, embed_dim)
        raise NotImplementedError("CrossAttention.__init__: write this part")

    def split(self, x):
        """Return (batch, num_heads, n, head_size) for x (batch, n, embed_dim)."""
        batch, n, embed_dim = x.shape
        return x.reshape(batch, n, self.num_heads, embed_dim // self.num_heads).transpose(1, 2)

    def forward(self, x, context, mask=None):
        """Return the output (batch, n_q, embed_dim).

        x: (batch, n_q, embed_dim); context: (batch, n_k, embed_dim).
        mask: booleans that fit (batch, num_heads, n_q, n_k), such as (n_q, n_k) or (batch, 1, 1, n_k); True = may
        attend. For a query whose every key is hidden the weights are 0.
        """
        # YOUR CODE HERE
        # as in lab 1, with a mask of n_q rows and n_k columns
        raise NotImplementedError("CrossAttention.forward: write this part")
