# WRONG causal_reversed: the past is hidden. Object: Blocks
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Sizes:
    tokens_per_block: int
    max_blocks: int
    num_heads: int
    embed_dim: int

    @property
    def max_tokens(self):
        return self.tokens_per_block * self.max_blocks


class Blocks(nn.Module):
    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads, self.size = sizes.num_heads, sizes.embed_dim // sizes.num_heads
        self.packed = nn.Linear(sizes.embed_dim, 3 * sizes.embed_dim)
        self.out = nn.Linear(sizes.embed_dim, sizes.embed_dim)
        self.register_buffer("seen", torch.tril(torch.ones(sizes.max_tokens, sizes.max_tokens)))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, self.size).transpose(1, 2) for part in self.packed(x).chunk(3, -1))
        scores = q @ k.transpose(-1, -2) * self.size**-0.5
        scores = scores.masked_fill(self.seen[:t, :t].T == 0, float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c))
