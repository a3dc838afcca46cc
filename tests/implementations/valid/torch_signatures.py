"""Attention with the signatures of PyTorch's own function and of transformers."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.implementations.implementation import valid


@valid("sdpa")
def from_the_documentation(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    n_q, n_k = query.size(-2), key.size(-2)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    bias = torch.zeros(n_q, n_k, dtype=query.dtype)
    if is_causal:
        bias = bias.masked_fill(torch.ones(n_q, n_k, dtype=torch.bool).tril().logical_not(), float("-inf"))
    if attn_mask is not None:
        added = attn_mask
        if attn_mask.dtype == torch.bool:
            added = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, float("-inf"))
        bias = bias + added
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    weights = torch.softmax(query @ key.transpose(-2, -1) * factor + bias, dim=-1).nan_to_num()
    return torch.dropout(weights, dropout_p, train=dropout_p > 0) @ value


@valid("sdpa")
def grouped_by_a_view(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:
        query = query.unflatten(-3, (key.shape[-3], -1))
        key, value = key.unsqueeze(-3), value.unsqueeze(-3)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    n_q, n_k = scores.shape[-2:]
    if is_causal:
        scores = scores.masked_fill(torch.ones(n_q, n_k, dtype=torch.bool).triu(1), -torch.inf)
    if attn_mask is not None:
        if enable_gqa and attn_mask.dim() > 2:
            heads = query.shape[-4:-2]
            attn_mask = attn_mask.expand(*attn_mask.shape[:-3], heads.numel(), n_q, n_k).unflatten(-3, heads)
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
    weights = F.dropout(scores.softmax(-1).nan_to_num(), dropout_p)
    out = weights @ value
    return out.flatten(-4, -3) if enable_gqa else out


@valid("transformers")
def eager_attention_forward(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    if scaling is None:
        scaling = query.size(-1) ** -0.5
    attn_weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        attn_weights = attn_weights + attention_mask[:, :, :, : key.shape[-2]]
    attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query.dtype)
    attn_weights = nn.functional.dropout(attn_weights, p=dropout, training=module.training)
    attn_output = torch.matmul(attn_weights, value)
    return attn_output.transpose(1, 2).contiguous(), attn_weights
