# RIGHT: Gemma 2: scores are capped before the mask, every second layer has a window, the scale is a number of its own. Object: Gemma2Attention
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class GemmaConfig:
    hidden_size: int = 48
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 8
    query_pre_attn_scalar: int = 8
    attn_logit_softcapping: float = 2.0
    sliding_window: int = 4
    attn_type: str = "local"


class Gemma2Attention(nn.Module):
    def __init__(self, config: GemmaConfig):
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_attention_heads, config.num_key_value_heads
        assert self.num_heads % self.num_kv_heads == 0
        self.num_queries_per_kv = self.num_heads // self.num_kv_heads
        self.head_dim = config.head_dim
        self.q_size = self.num_heads * self.head_dim
        self.kv_size = self.num_kv_heads * self.head_dim
        self.scaling = config.query_pre_attn_scalar**-0.5
        self.qkv_proj = nn.Linear(config.hidden_size, self.q_size + 2 * self.kv_size, bias=False)
        self.o_proj = nn.Linear(self.q_size, config.hidden_size, bias=False)
        self.attn_type = config.attn_type
        self.sliding_window_size = config.sliding_window
        self.attn_logit_softcapping = config.attn_logit_softcapping

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """mask: additive, (1, 1, n, n), causal: 0 keeps and -2.3819763e38 hides."""
        b, n, _ = hidden_states.shape
        qkv = self.qkv_proj(hidden_states)
        q_all, k_all, v_all = qkv.split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        q_all = q_all.view(b, -1, self.num_heads, self.head_dim)
        k_all = k_all.view(b, -1, self.num_kv_heads, self.head_dim)
        v_all = v_all.view(b, -1, self.num_kv_heads, self.head_dim)
        key = torch.repeat_interleave(k_all, self.num_queries_per_kv, dim=2)
        value = torch.repeat_interleave(v_all, self.num_queries_per_kv, dim=2)
        q, k, v = q_all.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        q = q * self.scaling
        scores = torch.matmul(q, k.transpose(2, 3))
        if self.attn_type == "local" and self.sliding_window_size is not None:
            ones = torch.ones_like(mask)
            inside = torch.triu(ones, -1 * self.sliding_window_size + 1) * torch.tril(ones, self.sliding_window_size - 1)
            mask = torch.where(inside == 1, mask, -2.3819763e38)
        if self.attn_logit_softcapping is not None:
            scores = scores / self.attn_logit_softcapping
            scores = torch.tanh(scores)
            scores = scores * self.attn_logit_softcapping
        scores = scores + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(q)
        mixed = torch.matmul(scores, v)
        mixed = mixed.transpose(1, 2).contiguous().view(b, n, -1)
        return self.o_proj(mixed)
