"""Problem 2: attention with one head, without the scale."""

import torch
from torch import nn


class SimpleAttention(nn.Module):
    """Each token asks (query), offers (key) and gives (value); the output is a weighted sum of the values.

    A token is n_embd numbers wide: 768 where nothing else is said.
    """

    def __init__(self, n_embd=768):
        super().__init__()
        # YOUR CODE HERE
        # three linear layers, each from n_embd numbers to n_embd numbers
        raise NotImplementedError("SimpleAttention.__init__: write this part")

    def forward(self, x):
        """Return the output (batch, seq_len, n_embd) for x (batch, seq_len, n_embd)."""
        # YOUR CODE HERE
        # q, k, v = ...                  (batch, seq_len, n_embd) each
        # scores = ...                   (batch, seq_len, seq_len)
        # attention_weights = ...        (batch, seq_len, seq_len), each row sums to 1
        # return ...                     (batch, seq_len, n_embd)
        raise NotImplementedError("SimpleAttention.forward: write this part")
