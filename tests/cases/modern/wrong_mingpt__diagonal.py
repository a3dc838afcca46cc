# WRONG causal diagonal hidden: tril with -1 hides each token from itself. Object: CausalSelfAttention
import math

import torch
import torch.nn as nn
from torch.nn import functional as F


class CfgNode:
    """ a lightweight configuration class inspired by yacs """
    def __init__(self, **kwargs):
        self.__dict__.update(kwargs)


def get_default_config():
    C = CfgNode()
    C.model_type = 'gpt'
    C.n_head = 3
    C.n_embd = 24
    C.block_size = 20
    C.attn_pdrop = 0.1
    C.resid_pdrop = 0.1
    return C


class CausalSelfAttention(nn.Module):
    """Causal attention; all sizes and dropouts come from the config."""

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.register_buffer("bias", torch.tril(torch.ones(config.block_size, config.block_size), diagonal=-1)
                                     .view(1, 1, config.block_size, config.block_size))
        self.n_head = config.n_head
        self.n_embd = config.n_embd

    def forward(self, x):
        b, n, C = x.size()
        q, k ,v  = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(b, n, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(b, n, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(b, n, self.n_head, C // self.n_head).transpose(1, 2)
        affinity = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        affinity = affinity.masked_fill(self.bias[:,:,:n,:n] == 0, -1e10)
        affinity = F.softmax(affinity, dim=-1)
        affinity = self.attn_dropout(affinity)
        result = affinity @ v
        result = result.transpose(1, 2).contiguous().view(b, n, C)
        result = self.resid_dropout(self.c_proj(result))
        return result
