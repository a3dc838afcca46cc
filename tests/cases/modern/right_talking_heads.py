# RIGHT: talking heads: a mix over heads before and after the softmax. Object: TalkingHeadAttention
import torch
from torch import nn


class TalkingHeadAttention(nn.Module):
    """https://arxiv.org/abs/2003.02436"""

    def __init__(self, dim, num_heads=8, qkv_bias=False, attn_drop=0., proj_drop=0.):
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.scale = head_dim ** -0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_l = nn.Linear(num_heads, num_heads)
        self.proj_w = nn.Linear(num_heads, num_heads)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * self.scale, qkv[1], qkv[2]
        scores = q @ k.transpose(-2, -1)
        scores = self.proj_l(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        scores = scores.softmax(dim=-1)
        scores = self.proj_w(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        scores = self.attn_drop(scores)
        x = (scores @ v).transpose(1, 2).reshape(b, n, c)
        return self.proj_drop(self.proj(x))
