"""Lab 1: attention in NumPy. Positions are rows: Q is (n_q, d_k), K is (n_k, d_k), V is (n_k, d_v)."""

import numpy as np


def similarity(Q, K):
    """Return the dot product of every query with every key, shape (n_q, n_k)."""
    # BEGIN SOLUTION
    # STUB: # row i, column j: query i times key j, added up
    return Q @ np.swapaxes(K, -2, -1)
    # END SOLUTION


def softmax(scores):
    """Return weights of the same shape: positive, and each row (the last axis) sums to 1."""
    # BEGIN SOLUTION
    # STUB: # 1. subtract the largest score of each row (keepdims=True), so that exp cannot overflow
    # STUB: # 2. exp
    # STUB: # 3. divide by the sum of each row
    shifted = scores - scores.max(axis=-1, keepdims=True)
    e = np.exp(shifted)
    return e / e.sum(axis=-1, keepdims=True)
    # END SOLUTION


def attention(Q, K, V, mask=None):
    """Return (output, weights): output (n_q, d_v), weights (n_q, n_k).

    mask: None, or booleans (n_q, n_k): True where a query may attend, no weight where it is False.
    """
    # BEGIN SOLUTION
    # STUB: # 1. scores = similarity(...), divided by the square root of d_k
    # STUB: # 2. if there is a mask: np.where puts -inf where it is False
    # STUB: # 3. weights = softmax(...)
    # STUB: # 4. output = each row a weighted sum of the rows of V
    d_k = Q.shape[-1]
    scores = similarity(Q, K) / np.sqrt(d_k)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = softmax(scores)
    output = weights @ V
    return output, weights
    # END SOLUTION
