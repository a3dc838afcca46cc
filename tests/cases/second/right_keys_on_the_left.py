# RIGHT: an einsum with the keys first, and queries that are scaled before it. Object: KeysFirst
import torch
from torch import nn


class KeysFirst(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.size = dim // num_heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, context):
        b, n, _ = x.shape
        m = context.shape[1]
        query = self.query(x).reshape(b, n, self.num_heads, self.size) * self.size**-0.5
        key = self.key(context).reshape(b, m, self.num_heads, self.size)
        value = self.value(context).reshape(b, m, self.num_heads, self.size)
        scores = torch.einsum("bjhd,bihd->bhij", key, query)
        mixed = torch.einsum("bjhd,bhij->bihd", value, scores.softmax(-1))
        return self.out(mixed.reshape(b, n, -1))
