"""Lab 1: self-attention in PyTorch, from one head to cross-attention.

Masks are boolean: True = may attend. x is (batch, n, embed_dim).
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch import nn

# Exercise 1: basic attention


class SelfAttention(nn.Module):
    """One head: softmax(Q Kᵀ / √d_k) V."""

    def __init__(self, embed_dim):
        super().__init__()
        # BEGIN SOLUTION
        # STUB: # three projections, each nn.Linear(embed_dim, embed_dim)
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        # END SOLUTION

    def forward(self, x):
        """Return (output, weights): (batch, n, embed_dim) and (batch, n, n)."""
        # BEGIN SOLUTION
        # STUB: # project, compare, scale, softmax over the keys, weighted sum of the values
        Q, K, V = self.query(x), self.key(x), self.value(x)
        scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
        weights = torch.softmax(scores, dim=-1)
        return weights @ V, weights
        # END SOLUTION


# Exercise 2: multi-head attention


class MultiHeadAttention(nn.Module):
    """Several heads side by side, put together and projected once more.

    ValueError where embed_dim is no multiple of num_heads. In training, dropout sets some weights to 0 by chance.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        # BEGIN SOLUTION
        # STUB: # 1. refuse sizes that do not go together; remember num_heads
        # STUB: # 2. projections for query, key, value and output, each nn.Linear(embed_dim, embed_dim)
        # STUB: # 3. nn.Dropout(dropout), for the weights
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} is no multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)
        # END SOLUTION

    def forward(self, x, mask=None):
        """Return (output, weights): (batch, n, embed_dim) and (batch, num_heads, n, n).

        mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.
        """
        # BEGIN SOLUTION
        # STUB: # 1. project to Q, K, V
        # STUB: # 2. split into heads: (batch, n, embed_dim) -> (batch, num_heads, n, head_size)
        # STUB: # 3. attend in each head; hide where the mask is False; a row without keys gets zeros
        # STUB: # 4. put the heads together: (batch, num_heads, n, head_size) -> (batch, n, embed_dim)
        # STUB: # 5. output projection
        batch, n, embed_dim = x.shape
        heads = (batch, n, self.num_heads, embed_dim // self.num_heads)
        Q, K, V = (layer(x).reshape(heads).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        weights = weights.masked_fill(weights.isnan(), 0.0)
        gathered = self.dropout(weights) @ V
        output = self.output(gathered.transpose(1, 2).reshape(batch, n, embed_dim))
        return output, weights
        # END SOLUTION


# Exercise 3: masking


def create_causal_mask(seq_len):
    """Return (seq_len, seq_len), True where key j is not later than query i."""
    # BEGIN SOLUTION
    # STUB: # the lower triangle, with the diagonal
    return torch.ones(seq_len, seq_len, dtype=torch.bool).tril()
    # END SOLUTION


def create_padding_mask(tokens, pad_id):
    """Return (batch, 1, 1, n) for tokens (batch, n), True where the token is not padding.

    The two axes of size 1 stand for heads and queries: padding is hidden from all of them alike.
    """
    # BEGIN SOLUTION
    # STUB: # compare, then put two axes in the middle
    return (tokens != pad_id)[:, None, None, :]
    # END SOLUTION


# Between 3 and 4: attention from one sequence to another


class CrossAttention(nn.Module):
    """One sequence asks (x), another one answers (context); several heads."""

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

    def forward(self, x, context):
        """Return the output (batch, n_q, embed_dim) for x (batch, n_q, embed_dim), context (batch, n_k, embed_dim)."""
        # BEGIN SOLUTION
        # STUB: # which of the three projections read x, and which read the context?
        Q, K, V = self.split(self.query(x)), self.split(self.key(context)), self.split(self.value(context))
        scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
        gathered = torch.softmax(scores, dim=-1) @ V
        return self.output(gathered.transpose(1, 2).reshape(x.shape))
        # END SOLUTION


# Exercise 4: attention visualization


def plot_heads(weights, tokens):
    """Return a figure with one heat map for each head of weights (num_heads, n, n), all with the same colours."""
    # BEGIN SOLUTION
    # STUB: # weights come from a layer and carry a gradient: .detach() before you draw
    # STUB: # plt.subplots(1, num_heads, squeeze=False); imshow with vmin=0, vmax=1, cmap="Blues" (larger is
    # STUB: # darker); tokens; names of the axes
    num_heads = len(weights)
    figure, grid = plt.subplots(1, num_heads, figsize=(3.2 * num_heads, 3.4), squeeze=False)
    for head, axes in enumerate(grid[0]):
        axes.imshow(weights[head].detach(), vmin=0, vmax=1, cmap="Blues")
        axes.set_title(f"head {head}")
        axes.set_xticks(range(len(tokens)), tokens, rotation=90)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set_xlabel("to (key)")
        axes.set_ylabel("from (query)")
    figure.tight_layout()
    return figure
    # END SOLUTION


def head_distances(weights):
    """Return (num_heads, num_heads): how far apart the maps of two heads are, for weights (num_heads, n, n).

    Half the sum over the keys of the absolute differences, averaged over the queries: 0 = the same map, 1 = no key in
    common.
    """
    # BEGIN SOLUTION
    # STUB: # weights[:, None] - weights[None] has every head against every head: (num_heads, num_heads, n, n)
    difference = weights[:, None] - weights[None]
    return difference.abs().sum(-1).mean(-1) / 2
    # END SOLUTION


def main():
    """Run everything once on a sentence of random vectors; give a file name to save the heat maps."""
    torch.manual_seed(0)
    tokens = "The cat sat on the mat .".split()
    embed_dim, num_heads = 12, 3
    x = torch.randn(1, len(tokens), embed_dim)
    print("x               ", tuple(x.shape))

    output, weights = SelfAttention(embed_dim)(x)
    print("one head        ", tuple(output.shape), "weights", tuple(weights.shape))

    layer = MultiHeadAttention(embed_dim, num_heads).eval()
    causal = create_causal_mask(len(tokens))
    output, weights = layer(x, causal)
    future = weights.masked_fill(causal, 0.0).sum().item()
    print("three heads     ", tuple(output.shape), "weights", tuple(weights.shape))
    print("rows sum to     ", f"{weights.sum(-1).min():.4f} to {weights.sum(-1).max():.4f}")
    print("on the future   ", future)

    ids = torch.tensor([[5, 3, 8, 2, 5, 7, 0]])
    output, padded = layer(x, create_padding_mask(ids, pad_id=0))
    print("on the padding  ", padded[..., -1].sum().item())

    context = torch.randn(1, 4, embed_dim)
    print("cross-attention ", tuple(CrossAttention(embed_dim, num_heads)(x, context).shape), "context (1, 4, 12)")

    print("distances of the heads\n", head_distances(weights[0].detach()))
    figure = plot_heads(weights[0], tokens)
    if len(sys.argv) > 1:
        figure.savefig(sys.argv[1], dpi=110)
        print("saved", sys.argv[1])


if __name__ == "__main__":
    main()
