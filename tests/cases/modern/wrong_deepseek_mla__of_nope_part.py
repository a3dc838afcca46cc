# WRONG scale: the scale counts the unrotated width only. Object: MLA
import math

import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rope(x, base=10000.0):
    """Pairs (2i, 2i+1); x: (b, n, h, d)."""
    d, n = x.shape[-1], x.shape[1]
    angles = torch.outer(torch.arange(n).float(), base ** (-torch.arange(0, d, 2).float() / d))
    cos, sin = angles.cos()[None, :, None], angles.sin()[None, :, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


class MLA(nn.Module):
    def __init__(self, dim=48, n_heads=4, kv_lora_rank=10, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=5):
        super().__init__()
        self.n_heads = n_heads
        self.nope, self.rot, self.v_dim = qk_nope_head_dim, qk_rope_head_dim, v_head_dim
        self.qk_head_dim = qk_nope_head_dim + qk_rope_head_dim
        self.kv_lora_rank = kv_lora_rank
        self.wq = nn.Linear(dim, n_heads * self.qk_head_dim, bias=False)
        self.wkv_a = nn.Linear(dim, kv_lora_rank + qk_rope_head_dim, bias=False)
        self.kv_norm = RMSNorm(kv_lora_rank)
        self.wkv_b = nn.Linear(kv_lora_rank, n_heads * (qk_nope_head_dim + v_head_dim), bias=False)
        self.wo = nn.Linear(n_heads * v_head_dim, dim, bias=False)
        self.softmax_scale = self.nope**-0.5

    def forward(self, x):
        b, n, _ = x.shape
        q = self.wq(x).view(b, n, self.n_heads, self.qk_head_dim)
        q_nope, q_pe = q.split([self.nope, self.rot], dim=-1)
        kv, k_pe = self.wkv_a(x).split([self.kv_lora_rank, self.rot], dim=-1)
        q_pe, k_pe = rope(q_pe), rope(k_pe.unsqueeze(2))
        kv = self.wkv_b(self.kv_norm(kv)).view(b, n, self.n_heads, self.nope + self.v_dim)
        k_nope, v = kv.split([self.nope, self.v_dim], dim=-1)
        q = torch.cat([q_nope, q_pe], dim=-1)
        k = torch.cat([k_nope, k_pe.expand(-1, -1, self.n_heads, -1)], dim=-1)
        scores = torch.einsum("bshd,bthd->bsht", q, k) * self.softmax_scale
        scores = scores + torch.full((n, n), float("-inf")).triu(1)[None, :, None, :]
        weights = scores.softmax(dim=-1)
        return self.wo(torch.einsum("bsht,bthd->bshd", weights, v).flatten(2))
