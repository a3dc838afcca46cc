# RIGHT: the attention is handed in, and the file holds several. Object: AroundIt
import torch
from torch import nn


class FlowAttention(nn.Module):
    def forward(self, queries, keys, values):
        kept = torch.einsum("bmhd,bmhe->bhde", keys.sigmoid(), values)
        return torch.einsum("bnhd,bhde->bnhe", queries.sigmoid(), kept)


class FullAttention(nn.Module):
    def forward(self, queries, keys, values):
        scores = torch.einsum("bnhd,bmhd->bhnm", queries, keys) / queries.shape[-1] ** 0.5
        return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), values)


class AroundIt(nn.Module):
    def __init__(self, attention, d_model, n_heads):
        super().__init__()
        self.inner, self.n_heads = attention, n_heads
        self.q, self.k, self.v = (nn.Linear(d_model, d_model) for _ in range(3))
        self.out = nn.Linear(d_model, d_model)

    def forward(self, queries, keys, values):
        parts = zip((self.q, self.k, self.v), (queries, keys, values), strict=True)
        q, k, v = (layer(x).unflatten(-1, (self.n_heads, -1)) for layer, x in parts)
        return self.out(self.inner(q, k, v).flatten(2))
