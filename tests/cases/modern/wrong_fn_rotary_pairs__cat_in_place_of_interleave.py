# WRONG rope: turned pairs are laid out as halves. Object: apply_rotary
import torch


def apply_rotary(x, positions, base=10000):
    """RoFormer: the pair (2i, 2i + 1) is turned by position * base^(-2i/d). x: (..., n, d), positions: (n,)."""
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta[None, :]
    cos, sin = torch.cos(angle), torch.sin(angle)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
