# WRONG mask fill: a large positive number fills what is hidden. Object: MultiHeadAttention
import numpy as np
import torch
from torch import nn, einsum


class MultiHeadAttention(nn.Module):
    def __init__(self, num_heads, key_size, model_size, w_init_scale=1.0):
        super().__init__()
        self.num_heads, self.key_size = num_heads, key_size
        std = w_init_scale / np.sqrt(model_size)
        self.w_q = nn.Parameter(torch.randn(model_size, num_heads, key_size) * std)
        self.w_k = nn.Parameter(torch.randn(model_size, num_heads, key_size) * std)
        self.w_v = nn.Parameter(torch.randn(model_size, num_heads, key_size) * std)
        self.w_o = nn.Parameter(torch.randn(num_heads, key_size, model_size) * std)

    def forward(self, query, key, value, mask=None):
        """mask: bool (b, 1, n_q, n_k), True attends."""
        query_heads = einsum("bqm,mhd->bqhd", query, self.w_q)
        key_heads = einsum("bkm,mhd->bkhd", key, self.w_k)
        value_heads = einsum("bkm,mhd->bkhd", value, self.w_v)
        attn_logits = einsum("bqhd,bkhd->bhqk", query_heads, key_heads)
        attn_logits = attn_logits / np.sqrt(self.key_size)
        if mask is not None:
            attn_logits = torch.where(mask, attn_logits, torch.tensor(1e30))
        attn_weights = torch.softmax(attn_logits, dim=-1)
        attn = einsum("bhqk,bkhd->bqhd", attn_weights, value_heads)
        return einsum("bqhd,hdm->bqm", attn, self.w_o)
