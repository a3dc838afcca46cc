"""Attention in plain loops: slow, and easy to follow."""

import numpy as np


def attention(Q, K, V, mask=None):
    """One query at a time; what it may not see is taken out at the end."""
    output = np.zeros((*Q.shape[:-1], V.shape[-1]))
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            scores = np.array([Q[b, i] @ K[b, j] for j in range(K.shape[1])]) / np.sqrt(Q.shape[2])
            weights = np.exp(scores - scores.max())
            weights = weights / weights.sum()
            if mask is not None:
                weights = np.where(mask[b, i], weights, 0.0)
            output[b, i] = weights @ V[b]
    return output
