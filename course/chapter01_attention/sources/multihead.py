"""Lab 3: several heads, in NumPy. x is (batch, n, embed_dim); a head is embed_dim / num_heads wide."""

import numpy as np


def softmax(scores):
    """Return weights whose rows sum to 1 (lab 1)."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def split_heads(x, num_heads):
    """Return (batch, num_heads, n, head_size) for x (batch, n, embed_dim)."""
    # BEGIN SOLUTION
    # STUB: # cut the last axis into (num_heads, head_size), then let heads and positions change places
    batch, n, embed_dim = x.shape
    heads = x.reshape(batch, n, num_heads, embed_dim // num_heads)
    return heads.transpose(0, 2, 1, 3)
    # END SOLUTION


def merge_heads(heads):
    """Return (batch, n, embed_dim) for heads (batch, num_heads, n, head_size); undoes split_heads."""
    # BEGIN SOLUTION
    # STUB: # the same two steps, backwards
    batch, num_heads, n, head_size = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(batch, n, num_heads * head_size)
    # END SOLUTION


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
        # BEGIN SOLUTION
        # STUB: # 1. Q, K, V = x @ self.W_q, ..., each split into heads
        # STUB: # 2. scores, divided by the square root of the width of ONE head; weights; the weighted sum of V
        # STUB: # 3. merge the heads, then @ self.W_o
        Q = split_heads(x @ self.W_q, self.num_heads)
        K = split_heads(x @ self.W_k, self.num_heads)
        V = split_heads(x @ self.W_v, self.num_heads)
        scores = Q @ K.swapaxes(-2, -1) / np.sqrt(Q.shape[-1])
        gathered = softmax(scores) @ V
        return merge_heads(gathered) @ self.W_o
        # END SOLUTION
