# RIGHT: cosines, and one learned scale for all heads on the queries before the product. Object: CosineAttention
import torch
from torch import nn
from torch.nn import functional as F


class CosineAttention(nn.Module):
    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q = F.normalize(q, dim=-1) * self.scale
        weights = (q @ F.normalize(k, dim=-1).mT).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, width))
