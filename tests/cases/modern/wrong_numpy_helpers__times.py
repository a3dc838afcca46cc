# WRONG mask times scores: the scores are multiplied by the mask. Object: scaled_dot_product_attention
import numpy as np
import matplotlib.pyplot as plt


def softmax(x, axis=-1):
    """Numerically stable softmax."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    exps = np.exp(shifted)
    return exps / np.sum(exps, axis=axis, keepdims=True)


def scaled_dot_product_attention(Q, K, V, mask=None):
    """
    Args:
        Q: queries (seq_q, d_k)
        K: keys (seq_k, d_k)
        V: values (seq_k, d_v)
        mask: optional (seq_q, seq_k), 1 = attend, 0 = ignore
    Returns:
        output (seq_q, d_v), attention weights (seq_q, seq_k)
    """
    d_k = Q.shape[-1]
    scores = np.matmul(Q, K.T) / np.sqrt(d_k)
    if mask is not None:
        scores = scores * mask
    weights = softmax(scores, axis=-1)
    return np.matmul(weights, V), weights


def plot_attention(weights, tokens):
    plt.matshow(weights)
    plt.xticks(range(len(tokens)), tokens)
    plt.show()
