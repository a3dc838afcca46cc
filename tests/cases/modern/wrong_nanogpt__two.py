# WRONG causal_reversed + scale_by_model_width: triu for tril, and the scale of the whole width. Object: CausalSelfAttention
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    block_size: int = 32
    vocab_size: int = 50304
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 48
    dropout: float = 0.0
    bias: bool = True
    flash: bool = False


class CausalSelfAttention(nn.Module):

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.n_head = config.n_head
        self.n_embd = config.n_embd
        self.dropout = config.dropout
        self.flash = config.flash
        if not self.flash:
            self.register_buffer("bias", torch.triu(torch.ones(config.block_size, config.block_size))
                                        .view(1, 1, config.block_size, config.block_size))

    def forward(self, x):
        b, n, width = x.size()

        q, k, v  = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(b, n, self.n_head, width // self.n_head).transpose(1, 2)
        q = q.view(b, n, self.n_head, width // self.n_head).transpose(1, 2)
        v = v.view(b, n, self.n_head, width // self.n_head).transpose(1, 2)

        if self.flash:
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=self.dropout if self.training else 0, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(width))
            scores = scores.masked_fill(self.bias[:,:,:n,:n] == 0, float('-inf'))
            scores = F.softmax(scores, dim=-1)
            scores = self.attn_dropout(scores)
            mixed = scores @ v
        mixed = mixed.transpose(1, 2).contiguous().view(b, n, width)

        mixed = self.resid_dropout(self.c_proj(mixed))
        return mixed
