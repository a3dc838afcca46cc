"""Lab 1: attention in NumPy. Positions are rows: Q is (n_q, d_k), K is (n_k, d_k), V is (n_k, d_v)."""

import numpy as np


def similarity(Q, K):
    """Return the dot product of every query with every key, shape (n_q, n_k)."""
    # YOUR CODE HERE
    # row i, column j: query i times key j, added up
    raise NotImplementedError("similarity: write this part")


def softmax(scores):
    """Return weights of the same shape: positive, and each row (the last axis) sums to 1."""
    # YOUR CODE HERE
    # 1. subtract the largest score of each row (keepdims=True), so that exp cannot overflow
    # 2. exp
    # 3. divide by the sum of each row
    raise NotImplementedError("softmax: write this part")


def attention(Q, K, V, mask=None):
    """Return (output, weights): output (n_q, d_v), weights (n_q, n_k).

    mask: None, or booleans (n_q, n_k): True where a query may attend, no weight where it is False.
    """
    # YOUR CODE HERE
    # 1. scores = similarity(...), divided by the square root of d_k
    # 2. if there is a mask: np.where puts -inf where it is False
    # 3. weights = softmax(...)
    # 4. output = each row a weighted sum of the rows of V
    raise NotImplementedError("attention: write this part")
