"""Lab 4: the same layer in PyTorch, and the numbers of torch.nn.MultiheadAttention in it."""

import torch
from torch import nn


def to_torch_mask(allowed):
    """Return what `attn_mask` of torch.nn.MultiheadAttention must be for our mask (True = may attend)."""
    return ~allowed


class MultiHeadAttention(nn.Module):
    """Lab 3 with layers that can be trained; a mask says True where a query may attend."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def split(self, x):
        """Return (batch, num_heads, n, head_size) for x (batch, n, embed_dim)."""
        batch, n, embed_dim = x.shape
        return x.reshape(batch, n, self.num_heads, embed_dim // self.num_heads).transpose(1, 2)

    def forward(self, x, mask=None):
        """Return the output (batch, n, embed_dim); mask (n, n), True = may attend."""
        Q, K, V = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        gathered = (weights @ V).transpose(1, 2).reshape(x.shape)
        return self.output(gathered)


def from_torch(theirs):
    """Return a MultiHeadAttention with the numbers of a torch.nn.MultiheadAttention(embed_dim, num_heads).

    Without biases (bias=False) theirs are None; ours are then 0.
    """
    ours = MultiHeadAttention(theirs.embed_dim, theirs.num_heads)
    with torch.no_grad():
        layers = [ours.query, ours.key, ours.value]
        weights = theirs.in_proj_weight.chunk(3)
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.copy_(weight)
            layer.bias.zero_()
        ours.output.weight.copy_(theirs.out_proj.weight)
        ours.output.bias.zero_()
        if theirs.in_proj_bias is not None:
            for layer, bias in zip(layers, theirs.in_proj_bias.chunk(3), strict=True):
                layer.bias.copy_(bias)
            ours.output.bias.copy_(theirs.out_proj.bias)
    return ours
