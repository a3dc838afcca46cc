"""An attention as one writes it from memory, and the same after the diagnosis was read."""

import math

import torch


def attention(Q, K, V, mask=None):
    """Sharp maps, and a loss that moves late."""
    scores = Q @ K.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    weights = torch.softmax(scores, dim=-1)
    return weights @ V, weights


def mended(Q, K, V, mask=None):
    """The same with one line more."""
    scores = Q @ K.transpose(-2, -1)
    scores = scores / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    weights = torch.softmax(scores, dim=-1)
    return weights @ V, weights
