"""Task 2a and 2b: what the weights look like."""

import matplotlib.pyplot as plt


def plot_attention_heatmap(attention_weights, tokens, title="Attention Weights"):
    """Return a figure with a heat map of attention_weights [seq_len, seq_len]; tokens: seq_len words.

    Rows are queries (from) with the first at the top, columns are keys (to). Colours begin at 0 and end at 1.
    """
    # YOUR CODE HERE
    # as in lab 2 of chapter 1 (cmap="Blues": larger is darker), and with the title
    raise NotImplementedError("plot_attention_heatmap: write this part")


def plot_multihead_attention(attention_weights, tokens, num_heads):
    """Return a figure with a grid of heat maps, one for each head.

    attention_weights: [num_heads, seq_len, seq_len]; tokens: seq_len words.
    """
    # YOUR CODE HERE
    # 1. enough rows of up to three maps; switch off the axes that stay empty
    # 2. the same colours for the same weights in all of them: vmin=0, vmax=1, cmap="Blues"
    # 3. tokens, names of the axes, and the number of the head above each map
    raise NotImplementedError("plot_multihead_attention: write this part")
