# WRONG value not projected: the keys are averaged. Object: CausalAttention
import numpy as np


class CausalAttention:
    def __init__(self, d_in, d_head, causal=True, seed=42):
        np.random.seed(seed)
        self.Wq = np.random.randn(d_in, d_head) * 0.5
        self.Wk = np.random.randn(d_in, d_head) * 0.5
        self.Wv = np.random.randn(d_in, d_head) * 0.5
        self.causal = causal

    def __call__(self, x):
        q, k, v = x @ self.Wq, x @ self.Wk, x @ self.Wv
        s = q @ k.T / np.sqrt(k.shape[1])
        if self.causal:
            s[np.triu_indices(len(x), 1)] = -np.inf
        s = np.exp(s - s.max(axis=1, keepdims=True))
        return s / s.sum(axis=1, keepdims=True) @ k
