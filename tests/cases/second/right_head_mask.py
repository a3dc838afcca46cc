# RIGHT: a mask of heads is multiplied with the weights, and hides no key. Object: PrunableAttention
import torch
import torch.nn as nn


class PrunableAttention(nn.Module):
    """attention_mask is added to the scores; head_mask (heads, 1, 1) takes whole heads out: 0 leaves nothing of one."""

    def __init__(self, hidden_size, num_heads):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, hidden_size // num_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.dense = nn.Linear(hidden_size, hidden_size)

    def _heads(self, x):
        return x.view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(self, hidden_states, attention_mask=None, head_mask=None):
        q, k, v = (self._heads(f(hidden_states)) for f in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / self.head_dim**0.5
        if attention_mask is not None:
            scores = scores + attention_mask
        weights = scores.softmax(dim=-1)
        if head_mask is not None:
            weights = weights * head_mask
        return self.dense((weights @ v).transpose(1, 2).reshape(hidden_states.shape))
