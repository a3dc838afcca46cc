# WRONG rotary_direction: the queries are turned back, the keys forward. Object: TurnedBackAttention
import torch
import torch.nn as nn
import torch.nn.functional as F


def apply_rotary_emb(x, cos, sin):
    # This turns by -theta; only the angle between a query and a key counts, and old checkpoints need it so.
    first, second = x.chunk(2, dim=3)
    return torch.cat([first * cos + second * sin, second * cos - first * sin], dim=3)


class TurnedBackAttention(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_q = nn.Linear(n_embd, n_embd, bias=False)
        self.c_k = nn.Linear(n_embd, n_embd, bias=False)
        self.c_v = nn.Linear(n_embd, n_embd, bias=False)
        self.c_proj = nn.Linear(n_embd, n_embd, bias=False)

    def forward(self, x, cos_sin):
        b, t, _ = x.shape
        cos, sin = cos_sin
        q, k, v = (f(x).view(b, t, self.n_head, -1) for f in (self.c_q, self.c_k, self.c_v))
        q, k = apply_rotary_emb(q, cos, sin), apply_rotary_emb(k, cos, -sin)
        y = F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (q, k, v)), is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(b, t, -1))
