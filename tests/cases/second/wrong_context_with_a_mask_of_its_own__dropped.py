# WRONG mask_ignored: masked_fill gives a new tensor, which nobody keeps. Object: Crossed
import torch
from torch import nn


class Crossed(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads, self.size = num_heads, dim // num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def split(self, x):
        return x.view(*x.shape[:2], self.num_heads, self.size).transpose(1, 2)

    def forward(self, hidden_states, encoder_hidden_states=None, encoder_attention_mask=None):
        other = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        scores = self.split(self.q(hidden_states)) @ self.split(self.k(other)).mT / self.size**0.5
        if encoder_hidden_states is not None and encoder_attention_mask is not None:
            scores.masked_fill(encoder_attention_mask[:, None, None] == 0, -torch.inf)
        mixed = (scores.softmax(-1) @ self.split(self.v(other))).transpose(1, 2)
        return self.o(mixed.reshape(hidden_states.shape))
