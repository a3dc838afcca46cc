# WRONG scale_by_model_width: scaled by the whole width. Object: multi_head_attention
import numpy as np


def softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


def multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads):
    """x: (batch, n, d_model); all matrices (d_model, d_model), applied as x @ w."""
    b, n, d_model = x.shape
    d_k = d_model // num_heads

    def split(t):
        return t.reshape(b, n, num_heads, d_k).transpose(0, 2, 1, 3)

    q, k, v = split(x @ w_q), split(x @ w_k), split(x @ w_v)
    weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(d_model))
    return (weights @ v).transpose(0, 2, 1, 3).reshape(b, n, d_model) @ w_o
