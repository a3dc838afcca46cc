"""Lab 2: heat maps of attention weights. Rows ask (from), columns answer (to); row 0 is at the top."""

import matplotlib.pyplot as plt


def plot_weights(weights, tokens):
    """Return a figure with one heat map of weights (n, n), the tokens beside rows and below columns."""
    # YOUR CODE HERE
    # 1. figure, axes = plt.subplots()
    # 2. imshow with colours that begin at 0 and end at 1, whatever the weights are
    # 3. one tick for each token on both axes, and the names "from (query)" and "to (key)"
    # 4. return the figure
    raise NotImplementedError("plot_weights: write this part")


def plot_scale_comparison(scaled, unscaled, tokens):
    """Return a figure with two heat maps side by side, each with a title, under one scale of colours."""
    # YOUR CODE HERE
    # 1. figure, (left, right) = plt.subplots(1, 2)
    # 2. the same vmin and vmax in both, or the two cannot be compared
    # 3. tokens, names of the axes, and a title that says which is which
    raise NotImplementedError("plot_scale_comparison: write this part")
