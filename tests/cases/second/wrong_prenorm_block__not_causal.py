# WRONG causal missing: the future is seen. Object: AttentionBlock
import torch
from torch import nn
import torch.nn.functional as F


class AttentionBlock(nn.Module):
    """x + SelfAttention(LayerNorm(x)), causal"""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(d, dim=2)
        q, k, v = (t.view(b, n, self.heads, d // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).contiguous().view(b, n, d)
        return x + self.c_proj(y)
