# RIGHT: tables (1, n, d / 4) of a rotation of a quarter of each head. Object: QuarterRotaryAttention
import torch
import torch.nn as nn
import torch.nn.functional as F


def rope(x, cos, sin):
    if cos.dim() != 3:
        raise ValueError(f"cos must have three axes, but its shape is {tuple(cos.shape)}")
    first, second = x.chunk(2, dim=-1)
    return x * cos.unsqueeze(1) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(1)


class QuarterRotaryAttention(nn.Module):
    """Causal attention in which a quarter of each head is rotated."""

    def __init__(self, n_embd, n_head, head_size):
        super().__init__()
        self.n_head, self.head_size, self.part = n_head, head_size, head_size // 4
        self.qkv = nn.Linear(n_embd, 3 * n_head * head_size)
        self.proj = nn.Linear(n_head * head_size, n_embd)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        q, k, v = (
            part.view(b, t, self.n_head, self.head_size).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        q = torch.cat([rope(q[..., : self.part], cos, sin), q[..., self.part :]], dim=-1)
        k = torch.cat([rope(k[..., : self.part], cos, sin), k[..., self.part :]], dim=-1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, -1))
