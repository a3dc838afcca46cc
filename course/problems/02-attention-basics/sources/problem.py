"""Problem 2: attention with one head, without the scale."""

import torch
from torch import nn


class SimpleAttention(nn.Module):
    """Each token asks (query), offers (key) and gives (value); the output is a weighted sum of the values.

    A token is n_embd numbers wide: 768 where nothing else is said.
    """

    def __init__(self, n_embd=768):
        super().__init__()
        # BEGIN SOLUTION
        # STUB: # three linear layers, each from n_embd numbers to n_embd numbers
        self.query = nn.Linear(n_embd, n_embd)
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)
        # END SOLUTION

    def forward(self, x):
        """Return the output (batch, seq_len, n_embd) for x (batch, seq_len, n_embd)."""
        # BEGIN SOLUTION
        # STUB: # q, k, v = ...                  (batch, seq_len, n_embd) each
        # STUB: # scores = ...                   (batch, seq_len, seq_len)
        # STUB: # attention_weights = ...        (batch, seq_len, seq_len), each row sums to 1
        # STUB: # return ...                     (batch, seq_len, n_embd)
        q = self.query(x)
        k = self.key(x)
        v = self.value(x)
        scores = q @ k.transpose(-2, -1)  # every query with every key
        attention_weights = torch.softmax(scores, dim=-1)
        return attention_weights @ v
        # END SOLUTION
