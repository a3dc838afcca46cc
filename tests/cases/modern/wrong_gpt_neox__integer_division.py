# WRONG rope: the exponents are divided as integers, so every frequency is one. Object: GPTNeoXAttention
import torch
from torch import nn


class NeoXConfig:
    hidden_size = 64
    num_attention_heads = 4
    rotary_pct = 0.25
    rotary_emb_base = 10000
    max_position_embeddings = 64


class RotaryEmbedding(nn.Module):
    def __init__(self, dim, max_position_embeddings, base=10000):
        super().__init__()
        inv_freq = 1.0 / (base ** (torch.arange(0, dim, 2) // dim))
        steps = torch.arange(max_position_embeddings, dtype=inv_freq.dtype)
        angles = torch.einsum("i,j->ij", steps, inv_freq)
        both = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos_cached", both.cos()[None, None, :, :])
        self.register_buffer("sin_cached", both.sin()[None, None, :, :])

    def forward(self, x, seq_len=None):
        return self.cos_cached[:, :, :seq_len, ...], self.sin_cached[:, :, :seq_len, ...]


def rotate_half(x):
    """Rotates half the hidden dims of the input."""
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def apply_rotary_pos_emb(q, k, cos, sin):
    return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)


class GPTNeoXAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.num_attention_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.rotary_ndims = int(self.head_size * config.rotary_pct)
        self.rotary_emb = RotaryEmbedding(self.rotary_ndims, config.max_position_embeddings, base=config.rotary_emb_base)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states):
        qkv = self.query_key_value(hidden_states)
        qkv = qkv.view(*qkv.size()[:-1], self.num_attention_heads, 3 * self.head_size)
        query = qkv[..., : self.head_size].permute(0, 2, 1, 3)
        key = qkv[..., self.head_size : 2 * self.head_size].permute(0, 2, 1, 3)
        value = qkv[..., 2 * self.head_size :].permute(0, 2, 1, 3)

        q_turn, q_rest = query[..., : self.rotary_ndims], query[..., self.rotary_ndims :]
        k_turn, k_rest = key[..., : self.rotary_ndims], key[..., self.rotary_ndims :]
        cos, sin = self.rotary_emb(value, seq_len=key.shape[-2])
        query, key = apply_rotary_pos_emb(q_turn, k_turn, cos, sin)
        query = torch.cat((query, q_rest), dim=-1)
        key = torch.cat((key, k_rest), dim=-1)

        n = query.shape[2]
        scores = torch.matmul(query, key.transpose(-1, -2)) / self.head_size ** 0.5
        causal = torch.tril(torch.ones(n, n, dtype=torch.bool))
        scores = torch.where(causal, scores, torch.finfo(scores.dtype).min)
        out = torch.matmul(torch.softmax(scores, dim=-1), value)
        return self.dense(out.permute(0, 2, 1, 3).reshape(hidden_states.shape))
