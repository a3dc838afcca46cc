"""Two lines that each make sense, and together do not."""

import math

import torch


def attention(Q, K, V, mask=None):
    """The query is scaled, and so are the scores."""
    Q = Q / math.sqrt(Q.shape[-1])
    scores = Q @ K.transpose(-2, -1) / math.sqrt(K.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return torch.softmax(scores, dim=-1) @ V
