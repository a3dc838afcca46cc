# RIGHT: padding_helpers_beside. Object: PaddedAttention
import torch
from torch import nn


def lengths_to_mask(lengths, max_len=None):
    """True = padding."""
    max_len = int(lengths.max()) if max_len is None else max_len
    return torch.arange(max_len)[None, :] >= lengths[:, None]


def make_window_mask(n, window):
    """True = hidden. Encoder: window // 2 to each side."""
    i = torch.arange(n)
    return (i[:, None] - i[None, :]).abs() > window // 2


def get_prefix_mask(seq_len, prefix_len):
    """1 = visible, float"""
    mask = torch.ones(seq_len, seq_len).tril()
    mask[:, :prefix_len] = 1.0
    return mask


class PaddedAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x, mask=None):
        """mask: (b, n), True = padding"""
        b, n, d = x.shape
        q, k, v = (f(x).view(b, n, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        s = q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5
        if mask is not None:
            s = s.masked_fill(mask[:, None, None, :], -1e9)
        return self.o((s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))
