"""Break one of the five steps of a layer and measure what it does to the weights."""

import torch

from attention_surgeon import MultiHeadAttention
from attention_surgeon.ops import leave_unscaled

torch.manual_seed(0)
layer, x = MultiHeadAttention(embed_dim=64, num_heads=2, dropout=0.0), 4 * torch.randn(1, 10, 64)
for name, step in {"healthy": layer.mechanism.scale, "no scale": leave_unscaled}.items():
    layer.mechanism = layer.mechanism.replace(scale=step)
    _, weights = layer(x, return_weights=True)
    print(f"{name:>8}: the largest weight of a row is {weights.amax(-1).mean():.2f} on average")
