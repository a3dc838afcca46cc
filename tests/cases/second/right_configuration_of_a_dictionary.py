# RIGHT: its configuration is a dictionary that is read by attributes, None where nothing is said. Object: Attention
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


class Config(OrderedDict):
    d_model: int
    num_heads: int = None
    head_dim: int = None
    bias: bool = False

    def __init__(self, **kwargs):
        super().__init__()
        for name, value in kwargs.items():
            setattr(self, name, value)


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        assert config.head_dim is not None, "head_dim is not defined"
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        inner = self.num_heads * self.head_dim
        self.query, self.key, self.value = (nn.Linear(config.d_model, inner, config.bias) for _ in range(3))
        self.proj = nn.Linear(inner, config.d_model, config.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = (
            f(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, n, -1))
