"""A loop that waits for a sum to become exactly 1."""

import torch


def attention(Q, K, V):
    """Divide until every row sums to 1, which rounding prevents."""
    weights = torch.exp(Q @ K.transpose(-2, -1))
    while not torch.all(weights.sum(-1) == 1.0):
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
    return weights @ V
