# RIGHT: cross attention of latents over a context, both normalised first (Perceiver). Object: PreNormCrossAttention
import torch
from torch import nn


def exists(val):
    return val is not None


class PreNormCrossAttention(nn.Module):
    def __init__(self, query_dim, context_dim, heads=4, dim_head=8, dropout=0.0):
        super().__init__()
        inner_dim = dim_head * heads
        self.scale, self.heads = dim_head**-0.5, heads
        self.norm = nn.LayerNorm(query_dim)
        self.norm_context = nn.LayerNorm(context_dim)
        self.to_q = nn.Linear(query_dim, inner_dim, bias=False)
        self.to_kv = nn.Linear(context_dim, inner_dim * 2, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.to_out = nn.Linear(inner_dim, query_dim)

    def forward(self, x, context, mask=None):
        """mask: bool (b, m), True where the context counts."""
        h = self.heads
        x, context = self.norm(x), self.norm_context(context)
        q = self.to_q(x)
        k, v = self.to_kv(context).chunk(2, dim=-1)
        b, n, _ = q.shape
        # b n (h d) -> (b h) n d
        q, k, v = (t.reshape(b, t.shape[1], h, -1).transpose(1, 2).reshape(b * h, t.shape[1], -1) for t in (q, k, v))
        sim = torch.einsum("b i d, b j d -> b i j", q, k) * self.scale
        if exists(mask):
            max_neg_value = -torch.finfo(sim.dtype).max
            mask = mask[:, None, None, :].expand(b, h, 1, -1).reshape(b * h, 1, -1)
            sim = sim.masked_fill(~mask, max_neg_value)
        attn = self.dropout(sim.softmax(dim=-1))
        out = torch.einsum("b i j, b j d -> b i d", attn, v)
        out = out.reshape(b, h, n, -1).transpose(1, 2).reshape(b, n, -1)
        return self.to_out(out)
