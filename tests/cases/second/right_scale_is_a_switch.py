# RIGHT: a scale that is off unless it is asked for, and a mask of a context that this one does not take. Object: Attention
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, nx, n_head, scale=False, is_cross_attention=False):
        super().__init__()
        self.n_head, self.size, self.scale = n_head, nx // n_head, scale
        if is_cross_attention:
            self.q_attn = nn.Linear(nx, nx)
        self.c_attn = nn.Linear(nx, (2 if is_cross_attention else 3) * nx)
        self.c_proj = nn.Linear(nx, nx)

    def split(self, x):
        return x.view(*x.shape[:2], self.n_head, self.size).transpose(1, 2)

    def forward(self, hidden_states, attention_mask=None, encoder_hidden_states=None, encoder_attention_mask=None):
        if encoder_hidden_states is not None:
            assert hasattr(self, "q_attn"), "this one was made without cross-attention"
            q = self.q_attn(hidden_states)
            k, v = self.c_attn(encoder_hidden_states).chunk(2, -1)
            attention_mask = encoder_attention_mask
        else:
            q, k, v = self.c_attn(hidden_states).chunk(3, -1)
        q, k, v = self.split(q), self.split(k), self.split(v)
        scores = torch.matmul(q, k.mT)
        if self.scale:
            scores = scores / v.size(-1) ** 0.5
        if attention_mask is not None:
            scores = scores + attention_mask
        mixed = torch.matmul(scores.softmax(-1), v).transpose(1, 2)
        return self.c_proj(mixed.reshape(hidden_states.shape))
