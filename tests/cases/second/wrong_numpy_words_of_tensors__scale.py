# WRONG scale_by_model_width: the whole width is under the root. Object: WithWords
import numpy as np


class WithWords:
    """Multi-head attention.

    Args:
        Q: Tensor of queries [batch, tokens, width]
        K: Tensor of keys [batch, tokens, width]
        V: Tensor of values [batch, tokens, width]
    """

    def __init__(self, d_model, num_heads):
        self.d_model, self.num_heads, self.d_k = d_model, num_heads, d_model // num_heads
        self.W_q = np.random.randn(d_model, d_model) / d_model**0.5
        self.W_k = np.random.randn(d_model, d_model) / d_model**0.5
        self.W_v = np.random.randn(d_model, d_model) / d_model**0.5
        self.W_o = np.random.randn(d_model, d_model) / d_model**0.5

    def split_heads(self, x):
        return x.reshape(x.shape[0], -1, self.num_heads, self.d_k).transpose(0, 2, 1, 3)

    def __call__(self, Q, K, V):
        q, k, v = (self.split_heads(np.matmul(x, w)) for x, w in ((Q, self.W_q), (K, self.W_k), (V, self.W_v)))
        scores = np.matmul(q, k.transpose(0, 1, 3, 2)) / np.sqrt(self.d_model)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        weights = scores / scores.sum(-1, keepdims=True)
        return np.matmul(np.matmul(weights, v).transpose(0, 2, 1, 3).reshape(Q.shape), self.W_o)
