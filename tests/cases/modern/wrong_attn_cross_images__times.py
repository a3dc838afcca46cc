# WRONG scale multiplied: the scores are multiplied. Object: SpatialCrossAttention
import torch
import torch.nn as nn


class SpatialCrossAttention(nn.Module):
    def __init__(self, channels, context_dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Conv2d(channels, channels, 1, bias=False)
        self.to_kv = nn.Linear(context_dim, 2 * channels, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, img, text):
        b, c, height, width = img.shape
        d = c // self.num_heads
        q = self.to_q(img).view(b, self.num_heads, d, height * width).transpose(-1, -2)
        k, v = (t.view(b, -1, self.num_heads, d).transpose(1, 2) for t in self.to_kv(text).chunk(2, dim=-1))
        attn = (q @ k.transpose(-1, -2) * d**0.5).softmax(dim=-1)
        out = (attn @ v).transpose(-1, -2).reshape(b, c, height, width)
        return img + self.proj(out)
