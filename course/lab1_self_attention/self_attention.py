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
        # YOUR CODE HERE
        # three projections, each nn.Linear(embed_dim, embed_dim)
        raise NotImplementedError("SelfAttention.__init__: write this part")

    def forward(self, x):
        """Return (output, weights): (batch, n, embed_dim) and (batch, n, n)."""
        # YOUR CODE HERE
        # project, compare, scale, softmax over the keys, weighted sum of the values
        raise NotImplementedError("SelfAttention.forward: write this part")


# Exercise 2: multi-head attention


class MultiHeadAttention(nn.Module):
    """Several heads side by side, put together and projected once more.

    ValueError where embed_dim is no multiple of num_heads. In training, dropout sets some weights to 0 by chance.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        # YOUR CODE HERE
        # 1. refuse sizes that do not go together; remember num_heads
        # 2. projections for query, key, value and output, each nn.Linear(embed_dim, embed_dim)
        # 3. nn.Dropout(dropout), for the weights
        raise NotImplementedError("MultiHeadAttention.__init__: write this part")

    def forward(self, x, mask=None):
        """Return (output, weights): (batch, n, embed_dim) and (batch, num_heads, n, n).

        mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.
        """
        # YOUR CODE HERE
        # 1. project to Q, K, V
        # 2. split into heads: (batch, n, embed_dim) -> (batch, num_heads, n, head_size)
        # 3. attend in each head; hide where the mask is False; a row without keys gets zeros
        # 4. put the heads together: (batch, num_heads, n, head_size) -> (batch, n, embed_dim)
        # 5. output projection
        raise NotImplementedError("MultiHeadAttention.forward: write this part")


# Exercise 3: masking


def create_causal_mask(seq_len):
    """Return (seq_len, seq_len), True where key j is not later than query i."""
    # YOUR CODE HERE
    # the lower triangle, with the diagonal
    raise NotImplementedError("create_causal_mask: write this part")


def create_padding_mask(tokens, pad_id):
    """Return (batch, 1, 1, n) for tokens (batch, n), True where the token is not padding.

    The two axes of size 1 stand for heads and queries: padding is hidden from all of them alike.
    """
    # YOUR CODE HERE
    # compare, then put two axes in the middle
    raise NotImplementedError("create_padding_mask: write this part")


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
        # YOUR CODE HERE
        # which of the three projections read x, and which read the context?
        raise NotImplementedError("CrossAttention.forward: write this part")


# Exercise 4: attention visualization


def plot_heads(weights, tokens):
    """Return a figure with one heat map for each head of weights (num_heads, n, n), all with the same colours."""
    # YOUR CODE HERE
    # weights come from a layer and carry a gradient: .detach() before you draw
    # plt.subplots(1, num_heads, squeeze=False); imshow with vmin=0, vmax=1, cmap="Blues" (larger is
    # darker); tokens; names of the axes
    raise NotImplementedError("plot_heads: write this part")


def head_distances(weights):
    """Return (num_heads, num_heads): how far apart the maps of two heads are, for weights (num_heads, n, n).

    Half the sum over the keys of the absolute differences, averaged over the queries: 0 = the same map, 1 = no key in
    common.
    """
    # YOUR CODE HERE
    # weights[:, None] - weights[None] has every head against every head: (num_heads, num_heads, n, n)
    raise NotImplementedError("head_distances: write this part")


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
