# WRONG cache: each piece is written from position 0. Object: Attention
import torch
import torch.nn as nn
from torch import Tensor
from torch.nn import functional as F


class KVCache(nn.Module):
    def __init__(self, max_batch_size, max_seq_length, n_heads, head_dim, dtype=torch.float32):
        super().__init__()
        shape = (max_batch_size, n_heads, max_seq_length, head_dim)
        self.register_buffer('k_cache', torch.zeros(shape, dtype=dtype))
        self.register_buffer('v_cache', torch.zeros(shape, dtype=dtype))

    def update(self, input_pos, k_val, v_val):
        assert input_pos.shape[0] == k_val.shape[2]
        keys = self.k_cache
        values = self.v_cache
        input_pos = input_pos - input_pos[0]
        keys[:, :, input_pos] = k_val
        values[:, :, input_pos] = v_val
        return keys, values


class Attention(nn.Module):
    def __init__(self, dim: int, n_head: int, n_local_heads: int):
        super().__init__()
        assert dim % n_head == 0
        self.head_dim = dim // n_head
        packed = (n_head + 2 * n_local_heads) * self.head_dim
        self.wqkv = nn.Linear(dim, packed, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)
        self.kv_cache = None
        self.n_head, self.n_local_heads, self.dim = n_head, n_local_heads, dim

    def forward(self, x: Tensor, mask: Tensor, input_pos: Tensor = None) -> Tensor:
        """mask: bool (1, 1, S, n_k), True attends; with a cache n_k is its length."""
        b, n, _ = x.shape
        kv_size = self.n_local_heads * self.head_dim
        q, k, v = self.wqkv(x).split([self.dim, kv_size, kv_size], dim=-1)

        q = q.view(b, n, self.n_head, self.head_dim)
        k = k.view(b, n, self.n_local_heads, self.head_dim)
        v = v.view(b, n, self.n_local_heads, self.head_dim)
        q, k, v = map(lambda x: x.transpose(1, 2), (q, k, v))

        if self.kv_cache is not None:
            k, v = self.kv_cache.update(input_pos, k, v)

        k = k.repeat_interleave(self.n_head // self.n_local_heads, dim=1)
        v = v.repeat_interleave(self.n_head // self.n_local_heads, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.0)
        mixed = mixed.transpose(1, 2).contiguous().view(b, n, self.dim)
        return self.wo(mixed)
