# WRONG t5 bias: the bias is added to the weights. Object: T5Attention
import math

import torch
from torch import nn


class T5Attention(nn.Module):
    """T5 does not divide by sqrt(d); the initialisation takes care of it."""

    def __init__(self, d_model=32, d_kv=8, num_heads=4, num_buckets=8, max_distance=20, dropout_rate=0.0):
        super().__init__()
        self.key_value_proj_dim, self.n_heads = d_kv, num_heads
        self.inner_dim = num_heads * d_kv
        self.num_buckets, self.max_distance = num_buckets, max_distance
        self.q = nn.Linear(d_model, self.inner_dim, bias=False)
        self.k = nn.Linear(d_model, self.inner_dim, bias=False)
        self.v = nn.Linear(d_model, self.inner_dim, bias=False)
        self.o = nn.Linear(self.inner_dim, d_model, bias=False)
        self.relative_attention_bias = nn.Embedding(num_buckets, num_heads)
        self.dropout = dropout_rate

    @staticmethod
    def _relative_position_bucket(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
        bucket_start = 0
        if bidirectional:
            num_buckets //= 2
            bucket_start += (relative_position > 0).to(torch.long) * num_buckets
            relative_position = torch.abs(relative_position)
        else:
            relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
        exact = num_buckets // 2
        near = relative_position < exact
        far = exact + (
            torch.log(relative_position.float().clamp(min=1) / exact)
            / math.log(max_distance / exact)
            * (num_buckets - exact)
        ).to(torch.long)
        far = torch.min(far, torch.full_like(far, num_buckets - 1))
        return bucket_start + torch.where(near, relative_position, far)

    def compute_bias(self, query_length, key_length):
        context_position = torch.arange(query_length)[:, None]
        memory_position = torch.arange(key_length)[None, :]
        bucket = self._relative_position_bucket(
            memory_position - context_position, num_buckets=self.num_buckets, max_distance=self.max_distance
        )
        return self.relative_attention_bias(bucket).permute([2, 0, 1]).unsqueeze(0)

    def forward(self, hidden_states, mask=None):
        batch_size, seq_length = hidden_states.shape[:2]

        def shape(states):
            return states.view(batch_size, -1, self.n_heads, self.key_value_proj_dim).transpose(1, 2)

        q, k, v = shape(self.q(hidden_states)), shape(self.k(hidden_states)), shape(self.v(hidden_states))
        scores = torch.matmul(q, k.transpose(3, 2))
        position_bias = self.compute_bias(seq_length, seq_length)
        if mask is not None:
            position_bias = position_bias + mask
        weights = nn.functional.softmax(scores.float(), dim=-1).type_as(scores)
        weights = weights + position_bias
        weights = nn.functional.dropout(weights, p=self.dropout, training=self.training)
        mixed = torch.matmul(weights, v).transpose(1, 2).contiguous().view(batch_size, -1, self.inner_dim)
        return self.o(mixed)
