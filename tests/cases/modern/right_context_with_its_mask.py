# RIGHT: a mask of the context counts where a context is given, and asks for nothing without one. Object: CrossOrSelf
import torch
from torch import nn


class CrossOrSelf(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def cut(self, t):
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context=None, mask=None, context_mask=None, mem=None):
        source = x if context is None else context
        seen = mask if context is None else context_mask
        if mem is not None:
            source = torch.cat([mem, source], dim=1)
            seen = None if seen is None else nn.functional.pad(seen, (mem.shape[1], 0), value=True)
        q, k, v = self.cut(self.q(x)), self.cut(self.k(source)), self.cut(self.v(source))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None, None], float("-inf"))
        return self.out(torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v).transpose(1, 2).flatten(2))
