# RIGHT: cosines, and a learned scale of each head on the queries before the product. Object: CosineAttention
import torch
from torch import nn
from torch.nn import functional as F


class CosineAttention(nn.Module):
    def __init__(self, *, dim, heads=4, dim_head=16):
        super().__init__()
        self.heads = heads
        self.log_scale = nn.Parameter(torch.full((1, heads, 1, 1), 2.0))
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)

    def forward(self, x):
        q, k, v = self.to_q(x), *self.to_kv(x).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        q = q * self.log_scale.exp()
        mixed = (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.to_out(mixed.transpose(1, 2).flatten(2))
