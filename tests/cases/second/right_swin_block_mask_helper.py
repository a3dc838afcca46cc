# RIGHT: swin_block_mask_helper. Object: ShiftedAttention
import torch
from torch import nn


def attention_mask(n, shift):
    """(n, n) float: tokens on the two sides of the border do not see each other."""
    side = (torch.arange(n) >= n - shift).long()
    return (side[:, None] != side[None, :]).float() * -100.0


class ShiftedAttention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        """mask: (n, n), added."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        a = q @ k.transpose(-2, -1) * (c // self.num_heads) ** -0.5
        if mask is not None:
            a = a + mask
        return self.proj((a.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))
