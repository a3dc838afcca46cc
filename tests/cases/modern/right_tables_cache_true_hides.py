# RIGHT: rotary tables, a start position, a cache that comes back, and a mask in which True hides. Object: GroupedAttention
import torch
from torch import nn


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


class GroupedAttention(nn.Module):
    def __init__(self, d_in, num_heads, num_kv_groups, head_dim=None):
        super().__init__()
        self.num_heads, self.num_kv_groups, self.head_dim = num_heads, num_kv_groups, head_dim or d_in // num_heads
        self.W_query = nn.Linear(d_in, num_heads * self.head_dim, bias=False)
        self.W_key = nn.Linear(d_in, num_kv_groups * self.head_dim, bias=False)
        self.W_value = nn.Linear(d_in, num_kv_groups * self.head_dim, bias=False)
        self.out_proj = nn.Linear(num_heads * self.head_dim, d_in, bias=False)

    def forward(self, x, mask, cos, sin, cache=None):
        q, k, v = (layer(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
                   for layer in (self.W_query, self.W_key, self.W_value))
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
        kept = (k, v)
        k, v = (t.repeat_interleave(self.num_heads // self.num_kv_groups, dim=1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)).masked_fill(mask, -torch.inf) / self.head_dim**0.5
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)), kept
