# WRONG scale_by_model_width: the whole width is under the root. Object: Pooling
import torch
from torch import nn


class Pooling(nn.Module):
    def __init__(self, dim, num_heads, num_seeds):
        super().__init__()
        self.num_heads, self.size = num_heads, dim // num_heads
        self.seeds = nn.Parameter(torch.Tensor(1, num_seeds, dim))
        nn.init.xavier_uniform_(self.seeds)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def split(self, x):
        return x.view(*x.shape[:2], self.num_heads, self.size).transpose(1, 2)

    def forward(self, x):
        asks = self.seeds.repeat(x.shape[0], 1, 1)
        q, k, v = self.split(self.q(asks)), self.split(self.k(x)), self.split(self.v(x))
        weights = (q @ k.transpose(-1, -2) / x.shape[-1] ** 0.5).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).reshape(asks.shape))
