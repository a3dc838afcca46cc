"""Lab 3: several heads, in NumPy. x is (batch, n, embed_dim); a head is embed_dim / num_heads wide."""

import numpy as np


def softmax(scores):
    """Return weights whose rows sum to 1 (lab 1)."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def split_heads(x, num_heads):
    """Return (batch, num_heads, n, head_size) for x (batch, n, embed_dim)."""
    # YOUR CODE HERE
    # cut the last axis into (num_heads, head_size), then let heads and positions change places
    raise NotImplementedError("split_heads: write this part")


def merge_heads(heads):
    """Return (batch, n, embed_dim) for heads (batch, num_heads, n, head_size); undoes split_heads."""
    # YOUR CODE HERE
    # the same two steps, backwards
    raise NotImplementedError("merge_heads: write this part")


class MultiHeadAttention:
    """Project to Q, K and V, attend in each head apart, put the heads together, project once more.

    ValueError where embed_dim is no multiple of num_heads.
    """

    def __init__(self, embed_dim, num_heads, seed=0):
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} is no multiple of num_heads {num_heads}")
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = (
            rng.normal(size=(embed_dim, embed_dim)) / np.sqrt(embed_dim) for _ in range(4)
        )

    def __call__(self, x):
        """Return the output (batch, n, embed_dim), for x of the same shape; x may also come without a batch."""
        if x.ndim == 2:  # (n, embed_dim)
            return self(x[None])[0]
        # YOUR CODE HERE
        # 1. Q, K, V = x @ self.W_q, ..., each split into heads
        # 2. scores, divided by the square root of the width of ONE head; weights; the weighted sum of V
        # 3. merge the heads, then @ self.W_o
        raise NotImplementedError("MultiHeadAttention.__call__: write this part")
