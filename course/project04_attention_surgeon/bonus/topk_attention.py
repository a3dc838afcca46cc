"""Bonus 2, sparse attention: each query attends to its k best keys only."""

import torch


def topk_attention(Q, K, V, k):
    """Return (output, weights): (batch, n_q, d_v) and (batch, n_q, n_k), whose rows have k numbers that are not 0."""
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    # YOUR CODE HERE
    # 1. scores.topk(k, dim=-1).indices are the places of the best keys of each query
    # 2. a boolean tensor of the same shape as scores, True in these places (scatter)
    # 3. hide all others BEFORE the softmax
    raise NotImplementedError("topk_attention: write this part")
