"""Bonus 3, cross-attention with a mask: one sequence asks another one, whose padding must not answer."""

import torch
from torch import nn


class CrossAttention(nn.Module):
    """Queries from x, keys and values from the context."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

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
        Q, K, V = self.split(self.query(x)), self.split(self.key(context)), self.split(self.value(context))
        scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        weights = weights.masked_fill(weights.isnan(), 0.0)
        gathered = (weights @ V).transpose(1, 2).reshape(x.shape)
        return self.output(gathered)
