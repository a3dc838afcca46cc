# RIGHT: a switch that is off lays the heads out in another order, which is what it is for. Object: Attention
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, num_heads, mix=False):
        super().__init__()
        self.num_heads, self.mix = num_heads, mix
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, queries, keys, values):
        q, k, v = (
            made.unflatten(-1, (self.num_heads, -1))
            for made in (self.to_q(queries), self.to_k(keys), self.to_v(values))
        )
        weights = torch.einsum("blhe,bshe->bhls", q / q.shape[-1] ** 0.5, k).softmax(-1)
        heads = torch.einsum("bhls,bshd->blhd", weights, v)
        if self.mix:
            heads = heads.transpose(1, 2).contiguous()
        return self.to_out(heads.reshape(*queries.shape[:2], -1))
