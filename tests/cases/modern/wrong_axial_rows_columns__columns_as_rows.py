# WRONG axial: the columns are cut with the height and the width exchanged. Object: AxialAttention
import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.dim_head = heads, dim // heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.to_q(x), *self.to_kv(x).chunk(2, dim=-1)
        b, t, d, h, e = *q.shape, self.heads, self.dim_head
        merge_heads = lambda x: x.reshape(b, -1, h, e).transpose(1, 2).reshape(b * h, -1, e)
        q, k, v = map(merge_heads, (q, k, v))
        dots = torch.einsum('bie,bje->bij', q, k) * (e ** -0.5)
        dots = dots.softmax(dim=-1)
        out = torch.einsum('bij,bje->bie', dots, v)
        out = out.reshape(b, h, -1, e).transpose(1, 2).reshape(b, -1, d)
        return self.to_out(out)


class AxialAttention(nn.Module):
    """x: (b, c, height, width). The output is the sum over the two axes."""

    def __init__(self, dim, heads=4):
        super().__init__()
        self.row, self.column = SelfAttention(dim, heads), SelfAttention(dim, heads)

    def forward(self, x):
        b, c, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(b * height, width, c)
        columns = x.permute(0, 2, 3, 1).reshape(b * width, height, c)
        rows = self.row(rows).reshape(b, height, width, c).permute(0, 3, 1, 2)
        columns = self.column(columns).reshape(b, width, height, c).permute(0, 3, 2, 1)
        return rows + columns
