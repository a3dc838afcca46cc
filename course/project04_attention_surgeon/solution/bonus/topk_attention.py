"""Bonus 2, sparse attention: each query attends to its k best keys only."""

import torch


def topk_attention(Q, K, V, k):
    """Return (output, weights): (batch, n_q, d_v) and (batch, n_q, n_k), whose rows have k numbers that are not 0."""
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    best = scores.topk(k, dim=-1).indices
    kept = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    weights = torch.softmax(scores.masked_fill(~kept, float("-inf")), dim=-1)
    return weights @ V, weights
