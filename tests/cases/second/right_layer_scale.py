# RIGHT: layer_scale. Object: LayerScaleAttention
import torch
from torch import nn


class LayerScaleAttention(nn.Module):
    """CaiT: x + gamma * Attention(LayerNorm(x))"""

    def __init__(self, dim, num_heads=4, init_values=0.1):
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.gamma = nn.Parameter(init_values * torch.ones(dim))

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.gamma * self.proj(y.transpose(1, 2).reshape(B, N, C))
