# WRONG heads_tiled: the repeats are laid before the heads. Object: MultiHeadAttention
from typing import Optional

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        q_proj: nn.Module,
        k_proj: nn.Module,
        v_proj: nn.Module,
        output_proj: nn.Module,
        is_causal: bool = True,
    ) -> None:
        super().__init__()
        if num_heads % num_kv_heads != 0:
            raise ValueError(f"num_heads ({num_heads}) % num_kv_heads ({num_kv_heads}) must equal 0")
        if embed_dim % num_heads != 0:
            raise ValueError(f"embed_dim ({embed_dim}) must be divisible by num_heads ({num_heads})")
        self.num_heads, self.num_kv_heads, self.head_dim, self.is_causal = num_heads, num_kv_heads, head_dim, is_causal
        self.q_proj, self.k_proj, self.v_proj, self.output_proj = q_proj, k_proj, v_proj, output_proj

    def forward(self, x: torch.Tensor, y: Optional[torch.Tensor] = None, *, mask: Optional[torch.Tensor] = None) -> torch.Tensor:
        """mask: bool (b, n_q, n_k), True attends; without one the attention is causal."""
        b, s_x, _ = x.shape
        y = x if y is None else y
        s_y = y.shape[1]
        q = self.q_proj(x).view(b, s_x, self.num_heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(y).view(b, s_y, 1, self.num_kv_heads, self.head_dim)
        v = self.v_proj(y).view(b, s_y, 1, self.num_kv_heads, self.head_dim)
        q_per_kv = self.num_heads // self.num_kv_heads
        k, v = (t.expand(-1, -1, q_per_kv, -1, -1).flatten(2, 3).transpose(1, 2) for t in (k, v))
        output = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask if mask is None else mask[:, None, :, :], is_causal=self.is_causal and mask is None
        )
        return self.output_proj(output.transpose(1, 2).reshape(b, s_x, -1))


def build(embed_dim=24, num_heads=6, num_kv_heads=2):
    d = embed_dim // num_heads
    return MultiHeadAttention(
        embed_dim=embed_dim, num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=d,
        q_proj=nn.Linear(embed_dim, num_heads * d, bias=False), k_proj=nn.Linear(embed_dim, num_kv_heads * d, bias=False),
        v_proj=nn.Linear(embed_dim, num_kv_heads * d, bias=False), output_proj=nn.Linear(num_heads * d, embed_dim, bias=False),
    )
