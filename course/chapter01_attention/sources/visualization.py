"""Lab 2: heat maps of attention weights, and numbers about them. Rows ask (from), columns answer (to).

Row 0 is at the top. The weights are NumPy arrays whose rows sum to 1.
"""

import matplotlib.pyplot as plt
import numpy as np


def plot_weights(weights, tokens):
    """Return a figure with one heat map of weights (n, n), the tokens beside rows and below columns."""
    # BEGIN SOLUTION
    # STUB: # 1. figure, axes = plt.subplots()
    # STUB: # 2. imshow with colours that begin at 0 and end at 1, whatever the weights are; with cmap="Blues" a
    # STUB: #    larger weight is darker
    # STUB: # 3. one tick for each token on both axes, and the names "from (query)" and "to (key)"
    # STUB: # 4. return the figure
    figure, axes = plt.subplots()
    image = axes.imshow(weights, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(tokens)), tokens)
    axes.set_yticks(range(len(tokens)), tokens)
    axes.set_xlabel("to (key)")
    axes.set_ylabel("from (query)")
    figure.colorbar(image)
    return figure
    # END SOLUTION


def plot_scale_comparison(scaled, unscaled, tokens):
    """Return a figure with two heat maps side by side, each with a title, under one scale of colours."""
    # BEGIN SOLUTION
    # STUB: # 1. figure, (left, right) = plt.subplots(1, 2)
    # STUB: # 2. the same vmin, vmax and cmap in both, or the two cannot be compared
    # STUB: # 3. tokens, names of the axes, and a title that says which is which
    figure, both = plt.subplots(1, 2, figsize=(9, 4))
    titles = ["with the scale 1/√d_k", "without the scale"]
    for axes, weights, title in zip(both, [scaled, unscaled], titles, strict=True):
        image = axes.imshow(weights, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(len(tokens)), tokens)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set_xlabel("to (key)")
        axes.set_ylabel("from (query)")
        axes.set_title(title)
    figure.colorbar(image, ax=list(both))
    return figure
    # END SOLUTION


def compute_attention_entropy(weights):
    """Return the entropy of each row in nats: (n_q,) for weights (n_q, n_k), (batch, n_q) for (batch, n_q, n_k).

    A weight of 0 adds 0: one weight of 1 has the entropy 0, n equal weights have log(n).
    """
    # BEGIN SOLUTION
    # STUB: # minus the sum over the keys of w * log(w); what is log(0), and how do you keep it out?
    safe = np.where(weights > 0, weights, 1.0)  # log(1) = 0 in place of log(0)
    return -(weights * np.log(safe)).sum(axis=-1)
    # END SOLUTION


def find_top_k_attended(weights, query_idx, k=3):
    """Return the places of the k keys that query `query_idx` attends to most, the largest weight first.

    weights: (n_q, n_k); what comes back is an array of k whole numbers.
    """
    # BEGIN SOLUTION
    # STUB: # np.argsort gives the places from the smallest number to the largest
    return np.argsort(-weights[query_idx], kind="stable")[:k]
    # END SOLUTION


def compute_attention_sparsity(weights, threshold=0.1):
    """Return the share of the weights that lie below the threshold, one number from 0 to 1."""
    # BEGIN SOLUTION
    # STUB: # compare, then take the mean of True and False
    return float((weights < threshold).mean())
    # END SOLUTION


def compare_attention_patterns(first, second):
    """Return a dictionary of three numbers about two maps (n_q, n_k) of the same shape.

    cosine_similarity: of each row of one map with the same row of the other, averaged over the rows.
    mse: the mean of the squared differences.
    max_diff: the largest absolute difference.
    """
    # BEGIN SOLUTION
    # STUB: # cosine of two rows: their dot product, divided by the product of their lengths
    difference = first - second
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return {
        "cosine_similarity": float(((first * second).sum(axis=-1) / lengths).mean()),
        "mse": float((difference**2).mean()),
        "max_diff": float(np.abs(difference).max()),
    }
    # END SOLUTION
