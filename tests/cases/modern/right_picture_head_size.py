# RIGHT: how many heads there are is worked out; a view takes any width. Object: PictureAttention
import torch
from torch import nn


class PictureAttention(nn.Module):
    def __init__(self, dim, dim_head=32):
        super().__init__()
        self.num_heads, self.dim_head = dim // dim_head, dim_head
        self.qkv, self.proj = nn.Conv2d(dim, 3 * dim, 1), nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        B, C, H, W = x.shape
        q, k, v = self.qkv(x).view(B, self.num_heads, 3 * self.dim_head, -1).chunk(3, dim=2)
        attn = (q.transpose(-2, -1) @ k * self.dim_head**-0.5).softmax(dim=-1)
        return self.proj((v @ attn.transpose(-2, -1)).view(B, -1, H, W))
