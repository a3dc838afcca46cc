# RIGHT: queries, keys and values by depthwise convolutions over a sequence (CvT in one dimension). Object: ConvAttention
import torch
from torch import nn


class ConvAttention(nn.Module):
    def __init__(self, channels, heads, kernel_size=3):
        super().__init__()
        assert channels % heads == 0
        self.heads = heads
        pad = kernel_size // 2
        self.to_q = nn.Conv1d(channels, channels, kernel_size, padding=pad, groups=channels)
        self.to_k = nn.Conv1d(channels, channels, kernel_size, padding=pad, groups=channels)
        self.to_v = nn.Conv1d(channels, channels, kernel_size, padding=pad, groups=channels)
        self.to_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x):  # (b, c, t)
        b, c, t = x.shape
        q, k, v = (f(x).view(b, self.heads, c // self.heads, t) for f in (self.to_q, self.to_k, self.to_v))
        scores = torch.einsum("bhdi,bhdj->bhij", q, k) * (c // self.heads) ** -0.5
        out = torch.einsum("bhij,bhdj->bhdi", scores.softmax(dim=-1), v)
        return self.to_out(out.reshape(b, c, t))
