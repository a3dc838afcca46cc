# WRONG mask ignored: the mask is not handed on, causal stays. Object: SDPAttention
import torch
from torch import nn
from torch.nn import functional as F


class SDPAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, dropout: float = 0.0, is_causal: bool = True):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, dim // num_heads
        self.dropout, self.is_causal = dropout, is_causal
        self.wq = nn.Linear(dim, num_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, num_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, num_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(num_heads * self.head_dim, dim, bias=False)

    def forward(self, x, attn_mask=None):
        """attn_mask: bool, broadcast to (b, h, n, n), True takes part; it takes the place of the causal mask."""
        b, n, _ = x.shape
        q = self.wq(x).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        k = self.wk(x).unflatten(-1, (self.num_kv_heads, self.head_dim)).transpose(1, 2)
        v = self.wv(x).unflatten(-1, (self.num_kv_heads, self.head_dim)).transpose(1, 2)
        out = F.scaled_dot_product_attention(
            q, k, v,
            attn_mask=None,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.is_causal,
            enable_gqa=True,
        )
        return self.wo(out.transpose(1, 2).flatten(2))
