# RIGHT: gated cross attention of Flamingo, residual outside a tanh gate. Object: GatedCrossAttention
import torch
from torch import nn


class GatedCrossAttention(nn.Module):
    """Returns x + tanh(gate) * attention(x, media)."""

    def __init__(self, dim, dim_visual, heads=4, dim_head=8):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        inner = heads * dim_head
        self.norm = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim_visual, inner * 2, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)
        self.attn_gate = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x, media):
        h = self.heads
        q = self.to_q(self.norm(x))
        k, v = self.to_kv(media).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (h, -1)).transpose(1, 2) for t in (q, k, v))
        attn = (q * self.scale @ k.transpose(-1, -2)).softmax(dim=-1)
        out = (attn @ v).transpose(1, 2).flatten(2)
        return x + self.to_out(out) * self.attn_gate.tanh()
