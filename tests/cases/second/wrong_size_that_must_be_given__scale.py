# WRONG scale_missing: nothing divides the scores. Object: Either
import math

import torch
from torch import nn


class Either(nn.Module):
    def __init__(self, n_heads, input_dim, embed_dim=None, val_dim=None):
        super().__init__()
        if val_dim is None:
            assert embed_dim is not None, "Provide either embed_dim or val_dim"
            val_dim = embed_dim // n_heads
        self.n_heads, self.val_dim = n_heads, val_dim
        self.W_query = nn.Parameter(torch.randn(n_heads, input_dim, val_dim))
        self.W_key = nn.Parameter(torch.randn(n_heads, input_dim, val_dim))
        self.W_val = nn.Parameter(torch.randn(n_heads, input_dim, val_dim))
        self.W_out = nn.Parameter(torch.randn(n_heads, val_dim, embed_dim))

    def forward(self, q, h=None):
        h = q if h is None else h
        Q, K, V = q[:, None] @ self.W_query, h[:, None] @ self.W_key, h[:, None] @ self.W_val
        weights = (Q @ K.transpose(-2, -1)).softmax(-1)
        return ((weights @ V) @ self.W_out).sum(1)
