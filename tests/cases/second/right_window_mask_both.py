# RIGHT: a window mask to both sides. Object: local_mask
import torch


def local_mask(n, window):
    """True where |i - j| <= window: an encoder's neighbourhood."""
    i = torch.arange(n)
    return (i[:, None] - i[None, :]).abs() <= window
