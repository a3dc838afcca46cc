# WRONG softmax axis: softmax over the queries. Object: MaskedMemory
import torch
import torch.nn as nn


class MaskedMemory(nn.Module):
    """Attention over the tokens and a memory before them. In masks True may attend; mem_mask is that of mem."""

    def __init__(self, dim, heads, dim_head):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_k = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_v = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)

    def forward(self, x, mask=None, mem=None, mem_mask=None):
        b, n, _ = x.shape
        seen = mask if mask is not None else x.new_ones(b, n, dtype=torch.bool)
        context = x
        if mem is not None:
            context = torch.cat([mem, x], dim=1)
            before = mem_mask if mem_mask is not None else x.new_ones(b, mem.shape[1], dtype=torch.bool)
            seen = torch.cat([before, seen], dim=1)
        q, k, v = (
            part.view(b, part.shape[1], self.heads, -1).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        scores = q @ k.transpose(-1, -2) * self.scale
        scores = scores.masked_fill(~seen[:, None, None], -torch.inf)
        return self.to_out((scores.softmax(-2) @ v).transpose(1, 2).reshape(b, n, -1))
