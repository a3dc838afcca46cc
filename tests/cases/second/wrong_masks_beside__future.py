# WRONG causal_reversed: the mask maker keeps the future. Object: Decoder1Layer
import math
import torch
from torch import nn


def make_causal_mask(n):
    """True = may attend."""
    return torch.ones(n, n, dtype=torch.bool).triu()


def make_pad_mask(tokens, pad_id=0):
    """True = real token; (b, 1, 1, n)."""
    return (tokens != pad_id)[:, None, None, :]


class Decoder1Layer(nn.Module):
    def __init__(self, d_model, nhead):
        super().__init__()
        self.h, self.d_k = nhead, d_model // nhead
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x, mask=None):
        """mask: True = may attend, broadcast to (b, h, n, n)."""
        b, n, _ = x.shape
        q, k, v = (w(x).view(b, n, self.h, self.d_k).transpose(1, 2) for w in (self.w_q, self.w_k, self.w_v))
        s = q @ k.transpose(-2, -1) / math.sqrt(self.d_k)
        if mask is not None:
            s = s.masked_fill(~mask, -1e9)
        return self.w_o((s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1))
