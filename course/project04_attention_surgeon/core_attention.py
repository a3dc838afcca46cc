"""Task 1: scaled dot-product attention."""

import torch


def attention(Q, K, V, mask=None, scale=True):
    """Return (output, attention_weights).

    Q: [batch, n_q, d_k], K: [batch, n_k, d_k], V: [batch, n_k, d_v].
    mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.
    scale: whether the scores are divided by √d_k.
    output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].
    """
    # YOUR CODE HERE
    # 1. scores = Q Kᵀ
    # 2. divide by √d_k, if asked to
    # 3. hide where the mask is 0: fill with -inf
    # 4. softmax over the last axis; a row that is hidden throughout gets zeros, not NaN
    # 5. output = weights V
    # 6. return both
    raise NotImplementedError("attention: write this part")
