# RIGHT: tokens (b, p, n, d): the pixels of each patch keep to themselves, unpacked by four names. Object: PatchAttention
import torch
from torch import nn


class PatchAttention(nn.Module):
    def __init__(self, dim, num_heads=8, qkv_bias=False):
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, p, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, p, n, 3, self.num_heads, d // self.num_heads).permute(3, 0, 1, 4, 2, 5)
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1)
        return self.proj((weights @ v).transpose(2, 3).reshape(b, p, n, d))
