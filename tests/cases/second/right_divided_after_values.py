# RIGHT: exponentials meet the values, and their sums divide the result. Object: Attention
import torch
from torch import nn


class Attention(nn.Module):
    """Causal. The row sums are taken out of the product with the values, as in tiles."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, self.n_heads, self.d_head).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-2, -1) / self.d_head**0.5
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
        raised = (scores - scores.amax(-1, keepdim=True)).exp()
        mixed = (raised @ v) / (raised.sum(-1, keepdim=True) + 1e-8)
        return self.o(mixed.transpose(1, 2).reshape(b, n, -1))
