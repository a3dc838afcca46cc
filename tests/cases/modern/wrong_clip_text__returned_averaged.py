# WRONG returned weights: the weights that are returned belong to the sequence in reverse. Object: CLIPAttention
import torch
from torch import nn


class CLIPAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_dim = config["hidden_size"]
        self.num_heads = config["num_attention_heads"]
        self.head_dim = self.embed_dim // self.num_heads
        self.scale = self.head_dim**-0.5
        self.dropout = config.get("attention_dropout", 0.0)
        self.k_proj = nn.Linear(self.embed_dim, self.embed_dim)
        self.v_proj = nn.Linear(self.embed_dim, self.embed_dim)
        self.q_proj = nn.Linear(self.embed_dim, self.embed_dim)
        self.out_proj = nn.Linear(self.embed_dim, self.embed_dim)

    def forward(self, hidden_states, attention_mask=None, causal_attention_mask=None):
        """Both masks: (b, 1, n, n), added to the scores."""
        b, n, embed_dim = hidden_states.size()
        shape = (b, n, self.num_heads, self.head_dim)
        q = (self.q_proj(hidden_states) * self.scale).view(shape).transpose(1, 2)
        k = self.k_proj(hidden_states).view(shape).transpose(1, 2)
        v = self.v_proj(hidden_states).view(shape).transpose(1, 2)
        scores = q @ k.transpose(2, 3)
        if causal_attention_mask is not None:
            scores = scores + causal_attention_mask
        if attention_mask is not None:
            scores = scores + attention_mask
        scores = nn.functional.softmax(scores, dim=-1)
        dropped = nn.functional.dropout(scores, p=self.dropout, training=self.training)
        mixed = (dropped @ v).transpose(1, 2).reshape(b, n, embed_dim)
        return self.out_proj(mixed), scores.flip(-1)


clip_config = {"hidden_size": 24, "num_attention_heads": 3}
