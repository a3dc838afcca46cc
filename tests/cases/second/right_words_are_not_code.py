# RIGHT: numbers in its code say nothing of its mask. Object: Padded
from torch import nn
from torch.nn import functional as F


class Padded(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.proj = nn.Linear(dim, 3 * dim)

    def lengthened(self, x, length):
        pad = length - x.shape[1]
        missing = length + 1 - pad
        return F.pad(x, (0, 0, 0, missing))[:, :length]

    def forward(self, x, mask=None):
        q, k, v = self.proj(self.lengthened(x, x.shape[1])).chunk(3, -1)
        scores = q @ k.transpose(-2, -1) / self.dim**0.5
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return scores.softmax(-1) @ v
