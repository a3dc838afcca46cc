"""Lab 1: attention in NumPy. Positions are rows: Q is (n_q, d_k), K is (n_k, d_k), V is (n_k, d_v)."""

import numpy as np


def similarity(Q, K):
    """Return the dot product of every query with every key, shape (n_q, n_k)."""
    return Q @ np.swapaxes(K, -2, -1)


def softmax(scores):
    """Return weights of the same shape: positive, and each row (the last axis) sums to 1."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    e = np.exp(shifted)
    return e / e.sum(axis=-1, keepdims=True)


def attention(Q, K, V, mask=None):
    """Return (output, weights): output (n_q, d_v), weights (n_q, n_k).

    mask: None, or booleans (n_q, n_k): True where a query may attend, no weight where it is False.
    """
    d_k = Q.shape[-1]
    scores = similarity(Q, K) / np.sqrt(d_k)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = softmax(scores)
    output = weights @ V
    return output, weights
