# WRONG mask hides queries: the mask of the real tokens is laid over the rows only. Object: MaskedAttention
import torch
from torch import nn


class MaskedAttention(nn.Module):
    def __init__(self, dim, heads=8, dim_head=64):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim)

    def forward(self, x, *, mask=None):
        batch, length, _ = x.shape
        q, k, v = (
            part.reshape(batch, length, self.heads, -1).transpose(1, 2) for part in self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        )
        dots = q @ k.transpose(-1, -2) * self.scale
        if mask is not None:
            both = mask[:, None, :, None]
            dots = dots.masked_fill(~both, -torch.finfo(dots.dtype).max)
        out = dots.softmax(dim=-1) @ v
        return self.to_out(out.transpose(1, 2).reshape(batch, length, -1)), mask
