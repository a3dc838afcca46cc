"""Lab 4: the same layer in PyTorch, and the numbers of torch.nn.MultiheadAttention in it."""

import torch
from torch import nn


def to_torch_mask(allowed):
    """Return what `attn_mask` of torch.nn.MultiheadAttention must be for our mask (True = may attend)."""
    # YOUR CODE HERE
    # its documentation says what True means there
    raise NotImplementedError("to_torch_mask: write this part")


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
        # YOUR CODE HERE
        # 1. Q, K, V: self.split(self.query(x)), ...
        # 2. scores / sqrt(head_size); hide with masked_fill where the mask is False; softmax over the keys
        # 3. weighted sum of the values, put the heads together (transpose, then reshape), self.output(...)
        raise NotImplementedError("MultiHeadAttention.forward: write this part")


def from_torch(theirs):
    """Return a MultiHeadAttention with the numbers of a torch.nn.MultiheadAttention(embed_dim, num_heads).

    Without biases (bias=False) theirs are None; ours are then 0.
    """
    ours = MultiHeadAttention(theirs.embed_dim, theirs.num_heads)
    with torch.no_grad():
        # YOUR CODE HERE
        # theirs.in_proj_weight holds query, key and value one below the other: (3 * embed_dim, embed_dim)
        # theirs.in_proj_bias likewise; theirs.out_proj is an nn.Linear
        # ours.query.weight.copy_(...) writes numbers into a layer
        raise NotImplementedError("from_torch: write this part")
    return ours
