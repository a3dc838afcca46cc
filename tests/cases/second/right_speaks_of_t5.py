# RIGHT: its text speaks of T5, which has no scale; this one has. Object: Attention
import math

import torch
from torch import nn


class Attention(nn.Module):
    """Attention of several heads, for a model that is compared with T5 (XL and XXL)."""

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(embed_dim, embed_dim) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, width = x.shape
        q, k, v = (f(x).view(b, n, self.num_heads, -1).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1)
        return self.out_proj((weights @ v).transpose(1, 2).reshape(b, n, width))
