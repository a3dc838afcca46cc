# WRONG cache: the past is handed on without the newest keys. Object: BartAttention
from typing import Optional, Tuple

import torch
from torch import nn


class BartAttention(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, is_decoder: bool = False, bias: bool = True):
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout, self.is_decoder = embed_dim, num_heads, dropout, is_decoder
        self.head_dim = embed_dim // num_heads
        self.scaling = self.head_dim**-0.5
        self.k_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.v_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.q_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def _shape(self, tensor: torch.Tensor):
        return tensor.view(tensor.shape[0], -1, self.num_heads, self.head_dim).transpose(1, 2).contiguous()

    def forward(self, hidden_states, key_value_states=None, past_key_value: Optional[Tuple] = None, attention_mask=None):
        """attention_mask: (b, 1, n_q, n_k), added. Returns output and, for a decoder, the keys and values to give next time."""
        is_cross_attention = key_value_states is not None
        b, n, _ = hidden_states.size()
        q = self.q_proj(hidden_states) * self.scaling
        if is_cross_attention and past_key_value is not None and past_key_value[0].shape[2] == key_value_states.shape[1]:
            k, v = past_key_value
        elif is_cross_attention:
            k = self._shape(self.k_proj(key_value_states))
            v = self._shape(self.v_proj(key_value_states))
        else:
            k = self._shape(self.k_proj(hidden_states))
            v = self._shape(self.v_proj(hidden_states))
            if past_key_value is not None:
                k = torch.cat([past_key_value[0], k], dim=2)
                v = torch.cat([past_key_value[1], v], dim=2)
        if self.is_decoder and past_key_value is None:
            past_key_value = (k, v)
        scores = self._shape(q) @ k.transpose(2, 3)
        if attention_mask is not None:
            scores = scores + attention_mask
        weights = nn.functional.dropout(scores.softmax(-1), p=self.dropout, training=self.training)
        mixed = (weights @ v).transpose(1, 2).reshape(b, n, self.embed_dim)
        return self.out_proj(mixed), past_key_value
