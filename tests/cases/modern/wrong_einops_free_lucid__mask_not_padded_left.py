# WRONG null key: the mask is padded at the end, so the null key takes the first token's place. Object: Attention
import torch
from torch import nn, einsum
from einops import repeat


def exists(val):
    return val is not None


class Attention(nn.Module):
    """A null key and value is always there to look at."""

    def __init__(self, dim, *, dim_head=8, heads=4, causal=False, norm=False):
        super().__init__()
        self.scale = dim_head**-0.5
        self.heads, self.causal = heads, causal
        inner_dim = heads * dim_head
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.null_kv = nn.Parameter(torch.randn(2, dim_head))
        self.to_q = nn.Linear(dim, inner_dim, bias=False)
        self.to_kv = nn.Linear(dim, dim_head * 2, bias=False)
        self.to_out = nn.Linear(inner_dim, dim, bias=False)

    def forward(self, x, mask=None):
        b, n, device = *x.shape[:2], x.device
        x = self.norm(x)
        q = self.to_q(x).view(b, n, self.heads, -1).transpose(1, 2) * self.scale
        k, v = self.to_kv(x).chunk(2, dim=-1)
        nk, nv = (t.view(1, 1, -1).expand(b, -1, -1) for t in self.null_kv.unbind(dim=0))
        k = torch.cat((nk, k), dim=-2)
        v = torch.cat((nv, v), dim=-2)
        sim = einsum("b h i d, b j d -> b h i j", q, k)
        max_neg_value = -torch.finfo(sim.dtype).max
        if exists(mask):  # bool (b, n), True = attend
            mask = nn.functional.pad(mask, (0, 1), value=True)
            sim = sim.masked_fill(~mask[:, None, None, :], max_neg_value)
        if self.causal:
            i, j = sim.shape[-2:]
            causal_mask = torch.ones((i, j), dtype=torch.bool, device=device).triu(j - i + 1)
            sim = sim.masked_fill(causal_mask, max_neg_value)
        attn = sim.softmax(dim=-1)
        out = einsum("b h i j, b j d -> b h i d", attn, v)
        return self.to_out(out.transpose(1, 2).flatten(2))
