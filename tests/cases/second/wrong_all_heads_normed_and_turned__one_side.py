# WRONG rotary_on_one_side: the keys are not turned. Object: Attention
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads, self.head_dim = n_heads, dim // n_heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.q_norm, self.k_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

    @staticmethod
    def turn(x, freqs_cis):
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * freqs_cis[: x.shape[1], None]).flatten(3).to(x.dtype)

    def forward(self, x, freqs_cis):
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1))
            for part in (self.q_norm(self.wq(x)), self.k_norm(self.wk(x)), self.wv(x))
        )
        q, k = self.turn(q, freqs_cis), k
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        return self.wo(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
