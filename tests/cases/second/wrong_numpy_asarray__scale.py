# WRONG scale_by_num_keys: the number of keys is under the root. Object: attention
import numpy as np


def softmax(x):
    x = np.array(x)
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def attention(Q, K, V, mask=None):
    Q, K, V = np.asarray(Q), np.asarray(K), np.asarray(V)
    assert Q.ndim == 4
    scores = np.matmul(Q, np.transpose(K, (0, 1, 3, 2))) / np.sqrt(K.shape[-2])
    if mask is not None:
        scores = np.where(np.asarray(mask, dtype=bool), -1e9, scores)
    weights = softmax(scores)
    return np.asarray(np.matmul(weights, V)), np.asarray(weights)
