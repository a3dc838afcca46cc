# RIGHT: BertSelfAttention with its config and an additive extended mask. Object: BertSelfAttention
import math
from types import SimpleNamespace

import torch
from torch import nn

config = SimpleNamespace(hidden_size=48, num_attention_heads=6, attention_probs_dropout_prob=0.1)


class BertSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config.hidden_size % config.num_attention_heads != 0:
            raise ValueError(
                "The hidden size (%d) is not a multiple of the number of attention "
                "heads (%d)" % (config.hidden_size, config.num_attention_heads))
        self.num_attention_heads = config.num_attention_heads
        self.attention_head_size = int(config.hidden_size / config.num_attention_heads)
        self.all_head_size = self.num_attention_heads * self.attention_head_size

        self.query = nn.Linear(config.hidden_size, self.all_head_size)
        self.key = nn.Linear(config.hidden_size, self.all_head_size)
        self.value = nn.Linear(config.hidden_size, self.all_head_size)

        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def to_heads(self, x):
        shape = x.size()[:-1] + (self.num_attention_heads, self.attention_head_size)
        x = x.view(*shape)
        return x.permute(0, 2, 1, 3)

    def forward(self, hidden_states, attention_mask):
        """attention_mask: (b, 1, 1, n), 0.0 where a token counts and -10000.0 where it is padding."""
        q = self.query(hidden_states)
        k = self.key(hidden_states)
        v = self.value(hidden_states)

        qh = self.to_heads(q)
        kh = self.to_heads(k)
        vh = self.to_heads(v)

        scores = torch.matmul(qh, kh.transpose(-1, -2))
        scores = scores / math.sqrt(self.attention_head_size)
        scores = scores + attention_mask

        probs = nn.Softmax(dim=-1)(scores)
        probs = self.dropout(probs)

        context = torch.matmul(probs, vh)
        context = context.permute(0, 2, 1, 3).contiguous()
        merged_shape = context.size()[:-2] + (self.all_head_size,)
        return context.view(*merged_shape)
