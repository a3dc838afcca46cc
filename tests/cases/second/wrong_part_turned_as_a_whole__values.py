# WRONG rotary_on_values: the values are turned, too. Object: PartlyRotary
import torch
from torch import nn


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


class PartlyRotary(nn.Module):
    def __init__(self, d_model, n_heads, max_len=128, rope_theta=10000.0):
        super().__init__()
        self.n_heads, self.dh = n_heads, d_model // n_heads
        self.turned = self.dh // 2
        self.qkv = nn.Parameter(0.02 * torch.randn(3 * d_model, d_model))
        self.wo = nn.Parameter(0.02 * torch.randn(d_model, d_model))
        frequencies = 1.0 / rope_theta ** (torch.arange(0, self.dh, 2).float() / self.dh)
        self.register_buffer("angles", torch.outer(torch.arange(max_len).float(), frequencies))

    def turn(self, x):
        angles = self.angles[: x.shape[-2], : self.turned // 2].repeat(1, 2)
        still, turned = x.split([self.dh - self.turned, self.turned], dim=-1)
        return torch.cat([still, turned * angles.cos() + rotate_half(turned) * angles.sin()], dim=-1)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (part.view(b, n, self.n_heads, self.dh).transpose(1, 2) for part in (x @ self.qkv.T).chunk(3, -1))
        seen = torch.ones(n, n, dtype=torch.bool).tril()
        mixed = nn.functional.scaled_dot_product_attention(self.turn(q), self.turn(k), self.turn(v), attn_mask=seen)
        return mixed.transpose(1, 2).reshape(b, n, d) @ self.wo.T
