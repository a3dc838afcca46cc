# WRONG mask_filled_with_zero: what is hidden gets a score of 0. Object: attention
import numpy as np


def softmax(x):
    x = np.array(x)
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def attention(Q, K, V, mask=None):
    Q, K, V = np.asarray(Q), np.asarray(K), np.asarray(V)
    assert Q.ndim == 4
    scores = np.matmul(Q, np.transpose(K, (0, 1, 3, 2))) / np.sqrt(Q.shape[-1])
    if mask is not None:
        scores = np.where(np.asarray(mask, dtype=bool), 0.0, scores)
    weights = softmax(scores)
    return np.asarray(np.matmul(weights, V)), np.asarray(weights)
