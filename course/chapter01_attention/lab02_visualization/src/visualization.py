"""Lab 2: heat maps of attention weights, and numbers about them. Rows ask (from), columns answer (to).

Row 0 is at the top. The weights are NumPy arrays whose rows sum to 1.
"""

import matplotlib.pyplot as plt
import numpy as np


def plot_weights(weights, tokens):
    """Return a figure with one heat map of weights (n, n), the tokens beside rows and below columns."""
    # YOUR CODE HERE
    # 1. figure, axes = plt.subplots()
    # 2. imshow with colours that begin at 0 and end at 1, whatever the weights are; with cmap="Blues" a
    #    larger weight is darker
    # 3. one tick for each token on both axes, and the names "from (query)" and "to (key)"
    # 4. return the figure
    raise NotImplementedError("plot_weights: write this part")


def plot_scale_comparison(scaled, unscaled, tokens):
    """Return a figure with two heat maps side by side, each with a title, under one scale of colours."""
    # YOUR CODE HERE
    # 1. figure, (left, right) = plt.subplots(1, 2)
    # 2. the same vmin, vmax and cmap in both, or the two cannot be compared
    # 3. tokens, names of the axes, and a title that says which is which
    raise NotImplementedError("plot_scale_comparison: write this part")


def compute_attention_entropy(weights):
    """Return the entropy of each row in nats: (n_q,) for weights (n_q, n_k), (batch, n_q) for (batch, n_q, n_k).

    A weight of 0 adds 0: one weight of 1 has the entropy 0, n equal weights have log(n).
    """
    # YOUR CODE HERE
    # minus the sum over the keys of w * log(w); what is log(0), and how do you keep it out?
    raise NotImplementedError("compute_attention_entropy: write this part")


def find_top_k_attended(weights, query_idx, k=3):
    """Return the places of the k keys that query `query_idx` attends to most, the largest weight first.

    weights: (n_q, n_k); what comes back is an array of k whole numbers.
    """
    # YOUR CODE HERE
    # np.argsort gives the places from the smallest number to the largest
    raise NotImplementedError("find_top_k_attended: write this part")


def compute_attention_sparsity(weights, threshold=0.1):
    """Return the share of the weights that lie below the threshold, one number from 0 to 1."""
    # YOUR CODE HERE
    # compare, then take the mean of True and False
    raise NotImplementedError("compute_attention_sparsity: write this part")


def compare_attention_patterns(first, second):
    """Return a dictionary of three numbers about two maps (n_q, n_k) of the same shape.

    cosine_similarity: of each row of one map with the same row of the other, averaged over the rows.
    mse: the mean of the squared differences.
    max_diff: the largest absolute difference.
    """
    # YOUR CODE HERE
    # cosine of two rows: their dot product, divided by the product of their lengths
    raise NotImplementedError("compare_attention_patterns: write this part")
