# WRONG rope: the values are rotated as well. Object: Attention
import math
from dataclasses import dataclass
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class ModelArgs:
    dim: int = 64
    n_layers: int = 2
    n_heads: int = 8
    n_kv_heads: Optional[int] = 2
    norm_eps: float = 1e-5
    batch_limit: int = 4
    length_limit: int = 32


def rotation_table(dim: int, end: int, theta: float = 10000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
    t = torch.arange(end, device=freqs.device)
    freqs = torch.outer(t, freqs).float()
    return torch.polar(torch.ones_like(freqs), freqs)


def as_broadcast(freqs_cis: torch.Tensor, x: torch.Tensor):
    ndim = x.ndim
    shape = [d if i == 1 or i == ndim - 1 else 1 for i, d in enumerate(x.shape)]
    return freqs_cis.view(*shape)


def rotate_both(q, k, freqs_cis) -> Tuple[torch.Tensor, torch.Tensor]:
    qc = torch.view_as_complex(q.float().reshape(*q.shape[:-1], -1, 2))
    kc = torch.view_as_complex(k.float().reshape(*k.shape[:-1], -1, 2))
    freqs_cis = as_broadcast(freqs_cis, qc)
    q_turned = torch.view_as_real(qc * freqs_cis).flatten(3)
    k_turned = torch.view_as_real(kc * freqs_cis).flatten(3)
    return q_turned.type_as(q), k_turned.type_as(k)


def repeat_heads(x: torch.Tensor, repeats: int) -> torch.Tensor:
    b, n, n_kv_heads, head_dim = x.shape
    if repeats == 1:
        return x
    return x[:, :, :, None, :].expand(b, n, n_kv_heads, repeats, head_dim).reshape(b, n, n_kv_heads * repeats, head_dim)


class Attention(nn.Module):
    """Multi-head attention module."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.n_kv_heads = args.n_heads if args.n_kv_heads is None else args.n_kv_heads
        self.num_heads = args.n_heads
        self.repeats = self.num_heads // self.n_kv_heads
        self.head_dim = args.dim // args.n_heads

        self.wq = nn.Linear(args.dim, args.n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(args.n_heads * self.head_dim, args.dim, bias=False)

        self.cache_k = torch.zeros(args.batch_limit, args.length_limit, self.n_kv_heads, self.head_dim)
        self.cache_v = torch.zeros(args.batch_limit, args.length_limit, self.n_kv_heads, self.head_dim)

    def forward(self, x: torch.Tensor, start_pos: int, freqs_cis: torch.Tensor, mask: Optional[torch.Tensor]):
        b, n, _ = x.shape
        q, k, v = self.wq(x), self.wk(x), self.wv(x)

        q = q.view(b, n, self.num_heads, self.head_dim)
        k = k.view(b, n, self.n_kv_heads, self.head_dim)
        v = v.view(b, n, self.n_kv_heads, self.head_dim)

        q, k = rotate_both(q, k, freqs_cis=freqs_cis)
        v, _ = rotate_both(v, v, freqs_cis=freqs_cis)

        self.cache_k = self.cache_k.to(q)
        self.cache_v = self.cache_v.to(q)
        self.cache_k[:b, start_pos : start_pos + n] = k.detach()
        self.cache_v[:b, start_pos : start_pos + n] = v.detach()

        keys = self.cache_k[:b, : start_pos + n]
        values = self.cache_v[:b, : start_pos + n]

        keys = repeat_heads(keys, self.repeats)
        values = repeat_heads(values, self.repeats)

        q = q.transpose(1, 2)
        keys = keys.transpose(1, 2)
        values = values.transpose(1, 2)
        scores = torch.matmul(q, keys.transpose(2, 3)) / math.sqrt(self.head_dim)
        if mask is not None:
            scores = scores + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(q)
        mixed = torch.matmul(scores, values)
        mixed = mixed.transpose(1, 2).contiguous().view(b, n, -1)
        return self.wo(mixed)
