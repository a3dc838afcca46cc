"""A list of heads whose outputs are concatenated."""

import torch
import torch.nn as nn
from torch.nn import functional as F

from tests.implementations.implementation import wrong


class Head(nn.Module):
    """one head of self-attention"""

    def __init__(self, n_embd, head_size, block_size):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))

    def weights(self, q, k, C):
        T = q.shape[1]
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, -1e9)
        return F.softmax(wei, dim=-1)

    def forward(self, x):
        return self.weights(self.query(x), self.key(x), x.shape[-1]) @ self.value(x)


class MultiHead(nn.Module):
    head = Head

    def __init__(self, n_embd, num_heads, block_size=64, dropout=0.0):
        super().__init__()
        self.heads = nn.ModuleList([self.head(n_embd, n_embd // num_heads, block_size) for _ in range(num_heads)])
        self.proj = nn.Linear(n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def gather(self, x):
        return torch.cat([h(x) for h in self.heads], dim=-1)

    def forward(self, x):
        return self.dropout(self.proj(self.gather(x)))


class ByC(Head):
    def weights(self, q, k, C):
        T = q.shape[1]
        wei = q @ k.transpose(-2, -1) * C**-0.5  # C is the head size here
        wei = wei.masked_fill(self.tril[:T, :T] == 0, -1e9)
        return F.softmax(wei, dim=-1)


@wrong("scale_by_model_width", contract="causal_multihead")
class Lecture(MultiHead):
    head = ByC


class OverTime(Head):
    def weights(self, q, k, C):
        T = q.shape[1]
        wei = (q @ k.transpose(-2, -1)) / k.shape[-1] ** 0.5
        return wei.masked_fill(self.tril[:T, :T] == 0, -1e9).softmax(dim=1)


@wrong("softmax_over_queries", contract="causal_multihead")
class Dimension(MultiHead):
    head = OverTime


@wrong("heads_reversed", contract="causal_multihead")
class Prepended(MultiHead):
    def gather(self, x):
        out = None
        for head in self.heads:
            y = head(x)
            out = y if out is None else torch.cat([y, out], dim=-1)
        return out


@wrong("first_head_only", contract="causal_multihead")
class Stops(MultiHead):
    def gather(self, x):
        out = torch.zeros_like(x)
        for i, head in enumerate(self.heads):
            y = head(x)
            out[..., i * y.shape[-1] : (i + 1) * y.shape[-1]] = y
            return out


@wrong("head_outputs_averaged", contract="causal_multihead")
class Committee(MultiHead):
    def gather(self, x):
        mean = torch.stack([h(x) for h in self.heads]).mean(0)
        return mean.repeat(1, 1, len(self.heads))


@wrong("heads_merged_without_transpose", contract="causal_multihead")
class Stacked(MultiHead):
    def gather(self, x):
        return torch.stack([h(x) for h in self.heads], dim=1).reshape(x.shape)


@wrong("output_projection_missing", contract="causal_multihead")
class Bare(nn.Module):
    def __init__(self, n_embd, num_heads, block_size=64):
        super().__init__()
        self.heads = nn.ModuleList([Head(n_embd, n_embd // num_heads, block_size) for _ in range(num_heads)])

    def forward(self, x):
        return torch.cat([h(x) for h in self.heads], dim=-1)


class Unscaled(Head):
    def weights(self, q, k, C):
        T = q.shape[1]
        wei = torch.zeros(T, T, dtype=q.dtype).masked_fill(self.tril[:T, :T] == 0, -1e9)
        return F.softmax(wei + q @ k.mT, dim=-1)


@wrong("scale_missing", "output_projection_missing", contract="causal_multihead")
class First(MultiHead):
    head = Unscaled

    def forward(self, x):
        return self.gather(x)


@wrong("scale_missing", "heads_reversed", contract="causal_multihead")
class Second(Prepended):
    head = Unscaled


@wrong("heads_averaged", contract="causal_multihead")
class OnePattern(MultiHead):
    def gather(self, x):
        wei = sum(h.weights(h.query(x), h.key(x), x.shape[-1]) for h in self.heads) / len(self.heads)
        return torch.cat([wei @ h.value(x) for h in self.heads], dim=-1)


@wrong("value_returned", contract="causal_multihead")
class Diagonal(MultiHead):
    def gather(self, x):
        return torch.cat([h.value(x) for h in self.heads], dim=-1)
