# RIGHT: keys and values are written into a cache that is given, at the places that are given. Object: WritingAttention
import torch
import torch.nn as nn


def rotate(x, freqs_cis):
    first, second = x.transpose(1, 2).float().chunk(2, dim=-1)
    turned = torch.complex(first, second) * freqs_cis
    return torch.cat([turned.real, turned.imag], dim=-1).transpose(1, 2).type_as(x)


class WritingAttention(nn.Module):
    def __init__(self, hidden_size, num_heads, num_kv_heads, head_dim):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, head_dim
        self.q_size, self.kv_size = num_heads * head_dim, num_kv_heads * head_dim
        self.qkv_proj = nn.Linear(hidden_size, self.q_size + 2 * self.kv_size, bias=False)
        self.o_proj = nn.Linear(self.q_size, hidden_size, bias=False)

    def forward(self, hidden_states, freqs_cis, kv_write_indices, kv_cache, mask):
        b, n, _ = hidden_states.shape
        q, k, v = self.qkv_proj(hidden_states).split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        q = rotate(q.view(b, n, self.num_heads, self.head_dim), freqs_cis)
        k = rotate(k.view(b, n, self.num_kv_heads, self.head_dim), freqs_cis)
        v = v.view(b, n, self.num_kv_heads, self.head_dim)
        k_cache, v_cache = kv_cache
        k_cache.index_copy_(1, kv_write_indices, k)
        v_cache.index_copy_(1, kv_write_indices, v)
        groups = self.num_heads // self.num_kv_heads
        key = k_cache.repeat_interleave(groups, dim=2).transpose(1, 2)
        value = v_cache.repeat_interleave(groups, dim=2).transpose(1, 2)
        scores = q.transpose(1, 2) @ key.transpose(2, 3) * self.head_dim**-0.5 + mask
        out = scores.softmax(dim=-1) @ value
        return self.o_proj(out.transpose(1, 2).reshape(b, n, -1))
