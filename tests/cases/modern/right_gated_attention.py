# RIGHT: output gate: a sigmoid of the input multiplies what the heads give. Object: GatedAttention
import torch
from torch import nn
import torch.nn.functional as F


class GatedAttention(nn.Module):
    """Gated attention (NeurIPS 2025): sigmoid gate after SDPA, elementwise."""

    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.qkvg = nn.Linear(dim, 4 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x):
        q, k, v, g = self.qkvg(x).chunk(4, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.out(o * torch.sigmoid(g))
