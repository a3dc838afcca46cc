# WRONG scale_by_fourth_root: only the queries are scaled, by the fourth root. Object: Unread
import math

import torch
from torch import nn


class Unread(nn.Module):
    def __init__(self, n_in, n_head, scale=True):
        super().__init__()
        self.n_head, self.size = n_head, n_in // n_head
        self.scale = scale
        self.c_attn = nn.Linear(n_in, 3 * n_in)
        self.c_proj = nn.Linear(n_in, n_in)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (part.view(b, n, self.n_head, self.size).transpose(1, 2) for part in self.c_attn(x).chunk(3, -1))
        by = 1.0 / math.sqrt(math.sqrt(self.size))
        weights = torch.matmul(q * by, k.mT).softmax(-1)
        return self.c_proj((weights @ v).transpose(1, 2).reshape(b, n, d))
