# RIGHT: residual_projected_shortcut. Object: AttentionWithShortcut
import torch
from torch import nn


class AttentionWithShortcut(nn.Module):
    """y = shortcut(x) + attention(x); the shortcut is a projection of its own."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, dim * 3, bias=False)
        self.out = nn.Linear(dim, dim)
        self.shortcut = nn.Linear(dim, dim, bias=False)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
        y = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1) @ v
        return self.shortcut(x) + self.out(y.transpose(1, 2).reshape(b, n, d))
