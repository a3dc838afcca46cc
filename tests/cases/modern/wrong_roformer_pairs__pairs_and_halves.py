# WRONG rope: angles are laid out for pairs, the rotation works on halves. Object: RoFormerSelfAttention
import math

import torch
from torch import nn


class RoFormerSelfAttention(nn.Module):
    def __init__(self, hidden_size, num_attention_heads, max_positions=128, rotary_base=10000):
        super().__init__()
        self.num_heads = num_attention_heads
        self.head_size = hidden_size // num_attention_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        theta = rotary_base ** (-2 * torch.arange(self.head_size // 2) / self.head_size)
        angles = torch.arange(max_positions)[:, None] * theta[None, :]
        self.register_buffer("sin", angles.sin().repeat_interleave(2, dim=-1), persistent=False)
        self.register_buffer("cos", angles.cos().repeat_interleave(2, dim=-1), persistent=False)

    def rotate(self, x, start=0):
        """x: (b, h, n, d). (x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin)"""
        n = x.shape[-2]
        a, b = x.chunk(2, dim=-1)
        turned = torch.cat([-b, a], dim=-1)
        return x * self.cos[start : start + n] + turned * self.sin[start : start + n]

    def forward(self, hidden_states, attention_mask=None):
        """attention_mask: (b, n), 1 for real tokens and 0 for padding."""
        b, n, e = hidden_states.shape
        q, k, v = (
            layer(hidden_states).view(b, n, self.num_heads, self.head_size).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        q, k = self.rotate(q), self.rotate(k)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_size)
        if attention_mask is not None:
            scores = scores + (1.0 - attention_mask[:, None, None, :].to(scores.dtype)) * torch.finfo(scores.dtype).min
        probs = torch.softmax(scores, dim=-1)
        return self.out((probs @ v).transpose(1, 2).reshape(b, n, e))
