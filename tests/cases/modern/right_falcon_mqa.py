# RIGHT: multi-query attention: one key and value head for all, packed in one projection (Falcon). Object: FalconAttention
import math

import torch
import torch.nn.functional as F
from torch import nn


class FalconAttention(nn.Module):
    def __init__(self, hidden_size, n_head, attention_dropout=0.0):
        super().__init__()
        self.num_heads, self.head_dim = n_head, hidden_size // n_head
        self.query_key_value = nn.Linear(hidden_size, hidden_size + 2 * self.head_dim, bias=False)
        self.dense = nn.Linear(hidden_size, hidden_size, bias=False)
        self.attention_dropout = nn.Dropout(attention_dropout)

    def _split_heads(self, fused_qkv):
        batch_size, seq_length, _ = fused_qkv.shape
        fused_qkv = fused_qkv.view(batch_size, seq_length, self.num_heads + 2, self.head_dim)
        return fused_qkv[..., :-2, :], fused_qkv[..., [-2], :], fused_qkv[..., [-1], :]

    def forward(self, hidden_states, attention_mask=None):
        """attention_mask: bool (b, n), True for real tokens."""
        batch_size, n, _ = hidden_states.shape
        q, k, v = (t.transpose(1, 2) for t in self._split_heads(self.query_key_value(hidden_states)))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_dim)
        allowed = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
        if attention_mask is not None:
            allowed = allowed & attention_mask[:, None, None, :]
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        probs = self.attention_dropout(F.softmax(scores, dim=-1))
        return self.dense((probs @ v).transpose(1, 2).reshape(batch_size, n, -1))
