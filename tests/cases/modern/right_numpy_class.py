# RIGHT: a NumPy layer from scratch with W_q, W_k, W_v, W_o as attributes. Object: MultiHeadAttention
import numpy as np


class MultiHeadAttention:
    """Multi-head attention in pure NumPy."""

    def __init__(self, d_model, num_heads, seed=0):
        rng = np.random.default_rng(seed)
        assert d_model % num_heads == 0
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_k = d_model // num_heads
        self.W_q = rng.standard_normal((d_model, d_model)) / np.sqrt(d_model)
        self.W_k = rng.standard_normal((d_model, d_model)) / np.sqrt(d_model)
        self.W_v = rng.standard_normal((d_model, d_model)) / np.sqrt(d_model)
        self.W_o = rng.standard_normal((d_model, d_model)) / np.sqrt(d_model)

    @staticmethod
    def softmax(x):
        x = x - np.max(x, axis=-1, keepdims=True)
        e = np.exp(x)
        return e / np.sum(e, axis=-1, keepdims=True)

    def split_heads(self, x):
        b, n, _ = x.shape
        return x.reshape(b, n, self.num_heads, self.d_k).transpose(0, 2, 1, 3)

    def forward(self, query, key, value, mask=None):
        b = query.shape[0]
        Q = self.split_heads(query @ self.W_q)
        K = self.split_heads(key @ self.W_k)
        V = self.split_heads(value @ self.W_v)
        scores = Q @ K.transpose(0, 1, 3, 2) / np.sqrt(self.d_k)
        if mask is not None:
            scores = np.where(mask == 0, -1e9, scores)
        self.attention_weights = self.softmax(scores)
        context = self.attention_weights @ V
        context = context.transpose(0, 2, 1, 3).reshape(b, -1, self.d_model)
        return context @ self.W_o

    __call__ = forward
