"""Task 2a and 2b: what the weights look like."""

import matplotlib.pyplot as plt


def plot_attention_heatmap(attention_weights, tokens, title="Attention Weights"):
    """Return a figure with a heat map of attention_weights [seq_len, seq_len]; tokens: seq_len words.

    Rows are queries (from) with the first at the top, columns are keys (to). Colours begin at 0 and end at 1.
    """
    # BEGIN SOLUTION
    # STUB: # as in lab 2 of chapter 1 (cmap="Blues": larger is darker), and with the title
    figure, axes = plt.subplots()
    image = axes.imshow(attention_weights.detach(), vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(tokens)), tokens, rotation=90)
    axes.set_yticks(range(len(tokens)), tokens)
    axes.set_xlabel("to (key)")
    axes.set_ylabel("from (query)")
    axes.set_title(title)
    figure.colorbar(image)
    return figure
    # END SOLUTION


def plot_multihead_attention(attention_weights, tokens, num_heads):
    """Return a figure with a grid of heat maps, one for each head.

    attention_weights: [num_heads, seq_len, seq_len]; tokens: seq_len words.
    """
    # BEGIN SOLUTION
    # STUB: # 1. enough rows of up to three maps; switch off the axes that stay empty
    # STUB: # 2. the same colours for the same weights in all of them: vmin=0, vmax=1, cmap="Blues"
    # STUB: # 3. tokens, names of the axes, and the number of the head above each map
    num_columns = min(num_heads, 3)
    num_rows = (num_heads + num_columns - 1) // num_columns
    size = (3.4 * num_columns, 3.4 * num_rows)
    figure, grid = plt.subplots(num_rows, num_columns, figsize=size, squeeze=False, layout="constrained")
    for head, axes in enumerate(grid.flat):
        if head >= num_heads:
            axes.set_axis_off()
            continue
        image = axes.imshow(attention_weights[head].detach(), vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(len(tokens)), tokens, rotation=90)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set_xlabel("to (key)")
        axes.set_ylabel("from (query)")
        axes.set_title(f"head {head}")
    figure.colorbar(image, ax=list(grid.flat))
    return figure
    # END SOLUTION
