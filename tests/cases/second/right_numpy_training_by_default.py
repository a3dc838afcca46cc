# RIGHT: NumPy, with dropout of its own unless the call says that it is no training. Object: MultiHeadAttention
import numpy as np


class Dropout:
    def __init__(self, rate):
        self.rate = rate

    def forward(self, x, training=True):
        if not training:
            return x
        return x * np.random.binomial(1, 1 - self.rate, x.shape) / (1 - self.rate)


class MultiHeadAttention:
    def __init__(self, d_model=64, num_heads=4, dropout=0.1):
        self.num_heads, self.d_k = num_heads, d_model // num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = (np.random.randn(d_model, d_model) / d_model**0.5 for _ in range(4))
        self.dropout = Dropout(dropout)

    def split(self, x):
        return x.reshape(x.shape[0], -1, self.num_heads, self.d_k).transpose(0, 2, 1, 3)

    def forward(self, query, key, value, training=True):
        self.Q, self.K, self.V = self.split(query @ self.W_q), self.split(key @ self.W_k), self.split(value @ self.W_v)
        scores = self.Q @ self.K.transpose(0, 1, 3, 2) / np.sqrt(self.d_k)
        raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
        self.weights = raised / raised.sum(axis=-1, keepdims=True)
        out = self.dropout.forward(self.weights, training) @ self.V
        return out.transpose(0, 2, 1, 3).reshape(out.shape[0], -1, self.num_heads * self.d_k) @ self.W_o
