# WRONG window: the whole number of tokens to each side. Object: LocalAttention
import torch
from torch import nn


def rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


class LocalAttention(nn.Module):
    """Bidirectional attention; every token sees local_attention // 2 tokens to each side."""

    def __init__(self, hidden_size, num_heads, local_attention=4, rope_theta=10000.0):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, hidden_size // num_heads
        self.half = local_attention // 2
        self.Wqkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.Wo = nn.Linear(hidden_size, hidden_size, bias=False)
        inv_freq = 1.0 / rope_theta ** (torch.arange(0, self.head_dim, 2).float() / self.head_dim)
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    def forward(self, hidden_states):
        b, n, _ = hidden_states.shape
        qkv = self.Wqkv(hidden_states).view(b, n, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        angles = torch.outer(torch.arange(n, dtype=self.inv_freq.dtype), self.inv_freq)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos(), angles.sin()
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        scores = q @ k.transpose(-1, -2) * self.head_dim**-0.5
        place = torch.arange(n)
        far = (place[:, None] - place[None, :]).abs() > 2 * self.half
        scores = scores.masked_fill(far, float("-inf"))
        out = scores.softmax(-1) @ v
        return self.Wo(out.transpose(1, 2).reshape(b, n, -1))
