# RIGHT: a picture of channels first in squares of patch_size, each by itself; it must hold whole squares. Object: SquareAttention
import torch
from torch import nn


class ChannelNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x):
        return self.gain * (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()


class SquareAttention(nn.Module):
    def __init__(self, dim, heads=8, dim_head=64, patch_size=7):
        super().__init__()
        self.heads, self.patch_size, self.scale = heads, patch_size, dim_head**-0.5
        self.norm = ChannelNorm(dim)
        self.to_q = nn.Conv2d(dim, heads * dim_head, 1, bias=False)
        self.to_kv = nn.Conv2d(dim, heads * dim_head * 2, 1, bias=False)
        self.to_out = nn.Conv2d(heads * dim_head, dim, 1)

    def forward(self, fmap):
        fmap, p = self.norm(fmap), self.patch_size
        shape = b, _, rows, columns = fmap.shape
        squares = (
            fmap.reshape(b, -1, rows // p, p, columns // p, p).permute(0, 2, 4, 1, 3, 5).reshape(-1, shape[1], p, p)
        )
        q, k, v = self.to_q(squares), *self.to_kv(squares).chunk(2, 1)
        q, k, v = (part.reshape(len(part), self.heads, -1, p * p).mT for part in (q, k, v))
        mixed = ((q @ k.mT * self.scale).softmax(-1) @ v).mT.reshape(b, rows // p, columns // p, -1, p, p)
        return self.to_out(mixed.permute(0, 3, 1, 4, 2, 5).reshape(b, -1, rows, columns))
