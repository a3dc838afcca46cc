"""Lab 2: heat maps of attention weights. Rows ask (from), columns answer (to); row 0 is at the top."""

import matplotlib.pyplot as plt


def plot_weights(weights, tokens):
    """Return a figure with one heat map of weights (n, n), the tokens beside rows and below columns."""
    # BEGIN SOLUTION
    # STUB: # 1. figure, axes = plt.subplots()
    # STUB: # 2. imshow with colours that begin at 0 and end at 1, whatever the weights are
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
    # STUB: # 2. the same vmin and vmax in both, or the two cannot be compared
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
