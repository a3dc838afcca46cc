"""Layers in the manner of BERT: transpose_for_scores, and masks that are added."""

import math

import torch
from torch import nn

from tests.implementations.implementation import wrong


class BertSelfAttention(nn.Module):
    softmax_dim = -1

    def __init__(self, config):
        super().__init__()
        self.num_attention_heads = config.num_attention_heads
        self.attention_head_size = config.hidden_size // config.num_attention_heads
        self.all_head_size = self.num_attention_heads * self.attention_head_size
        self.query = nn.Linear(config.hidden_size, self.all_head_size)
        self.key = nn.Linear(config.hidden_size, self.all_head_size)
        self.value = nn.Linear(config.hidden_size, self.all_head_size)
        self.dense = nn.Linear(self.all_head_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def transpose_for_scores(self, x):
        x = x.view((*x.size()[:-1], self.num_attention_heads, self.attention_head_size))
        return x.permute(0, 2, 1, 3)

    def scores(self, query_layer, key_layer, attention_mask):
        attention_scores = torch.matmul(query_layer, key_layer.transpose(-1, -2))
        attention_scores = attention_scores / math.sqrt(self.attention_head_size)
        if attention_mask is not None:
            attention_scores = attention_scores + self.bias(attention_mask)
        return attention_scores

    def bias(self, mask):
        if mask.dim() == 3:
            mask = mask[:, None]
        return mask.clamp(min=torch.finfo(mask.dtype).min / 4)

    def mix(self, probs, value_layer):
        return torch.matmul(self.dropout(probs), value_layer)

    def merge(self, context_layer):
        context_layer = context_layer.permute(0, 2, 1, 3).contiguous()
        return context_layer.view((*context_layer.size()[:-2], self.all_head_size))

    def project(self, hidden_states):
        return self.query(hidden_states), self.key(hidden_states), self.value(hidden_states)

    def forward(self, hidden_states, attention_mask=None):
        q, k, v = map(self.transpose_for_scores, self.project(hidden_states))
        probs = nn.functional.softmax(self.scores(q, k, attention_mask), dim=self.softmax_dim)
        return self.dense(self.merge(self.mix(probs, v)))


def bert(*faults):
    return wrong(*faults, contract="multihead", mask="additive")


@bert("scale_multiplied")
class Loud(BertSelfAttention):
    def scores(self, query_layer, key_layer, attention_mask):
        s = torch.matmul(query_layer, key_layer.transpose(-1, -2)) * math.sqrt(self.attention_head_size)
        return s if attention_mask is None else s + self.bias(attention_mask)


@bert("softmax_over_heads")
class AcrossHeads(BertSelfAttention):
    softmax_dim = 1


@bert("softmax_over_queries")
class AcrossQueries(BertSelfAttention):
    softmax_dim = 2


@bert("softmax_over_batch")
class AcrossBatch(BertSelfAttention):
    softmax_dim = 0


@bert("heads_merged_without_transpose")
class NoPermute(BertSelfAttention):
    def merge(self, context_layer):
        b, h, n, d = context_layer.shape
        return context_layer.reshape(b, n, h * d)


@bert("mask_before_scale")
class SumFirst(BertSelfAttention):
    def scores(self, query_layer, key_layer, attention_mask):
        s = torch.matmul(query_layer, key_layer.transpose(-1, -2))
        if attention_mask is not None:
            s = s + self.bias(attention_mask)
        return s / math.sqrt(self.attention_head_size)


@bert("mask_ignored")
class Deaf(BertSelfAttention):
    def bias(self, mask):
        return 0.0


@bert("projection_shared")
class Similar(BertSelfAttention):
    def project(self, hidden_states):
        mixed = self.query(hidden_states)
        return mixed, mixed, mixed


@bert("output_bias_dropped")
class NoBias(BertSelfAttention):
    def forward(self, hidden_states, attention_mask=None):
        return super().forward(hidden_states, attention_mask) - self.dense.bias


@bert("scale_by_num_heads")
class Counted(BertSelfAttention):
    def scores(self, query_layer, key_layer, attention_mask):
        s = torch.matmul(query_layer, key_layer.transpose(-1, -2)) / math.sqrt(query_layer.size(1))
        return s if attention_mask is None else s + self.bias(attention_mask)


@bert("heads_strided")
class Interleaved(BertSelfAttention):
    def transpose_for_scores(self, x):
        x = x.view((*x.size()[:-1], self.attention_head_size, self.num_attention_heads))
        return x.permute(0, 3, 1, 2)

    def merge(self, context_layer):
        return context_layer.permute(0, 2, 3, 1).flatten(2)


@bert("heads_averaged")
class MeanPattern(BertSelfAttention):
    def mix(self, probs, value_layer):
        return torch.matmul(probs.mean(dim=1, keepdim=True), value_layer)


@bert("mask_ignored", "scale_by_model_width")
class TwoAtOnce(BertSelfAttention):
    def scores(self, query_layer, key_layer, attention_mask):
        return torch.matmul(query_layer, key_layer.transpose(-1, -2)) / math.sqrt(self.all_head_size)


@bert("heads_split_by_view", "output_projection_missing")
class Shapes(BertSelfAttention):
    def transpose_for_scores(self, x):
        return x.reshape(x.size(0), self.num_attention_heads, x.size(1), self.attention_head_size)

    def forward(self, hidden_states, attention_mask=None):
        q, k, v = map(self.transpose_for_scores, self.project(hidden_states))
        return self.merge(self.mix(self.scores(q, k, attention_mask).softmax(-1), v))
