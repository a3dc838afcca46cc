# RIGHT: rms_postnorm. Object: SandwichAttention
import torch
from torch import nn


class SandwichAttention(nn.Module):
    """x + norm(attn(x)), as in Gemma 2 and OLMo 2."""

    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.w_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.w_out = nn.Linear(dim, dim, bias=False)
        self.post = nn.RMSNorm(dim)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (t.view(b, n, self.n_heads, -1).transpose(1, 2) for t in self.w_qkv(x).chunk(3, -1))
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.post(self.w_out(y.transpose(1, 2).flatten(2)))
