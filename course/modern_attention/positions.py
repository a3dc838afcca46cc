"""Positions as angles: rotary embeddings (RoPE)."""

import torch


def rotate(x, positions, base=10000.0):
    """Return x (..., n, d) with the token at positions[t] turned by angles that grow with its position.

    Entry i of the first half of a vector and entry i of the second half are one pair. The pair with index i is
    turned by the angle positions[t] * base ** (-2 * i / d): (a, b) becomes (a cos - b sin, a sin + b cos).
    """
    # YOUR CODE HERE
    # speeds = ...          (d / 2,): base ** (-2 i / d)
    # angles = ...          (n, d / 2): every position with every speed
    # first, second = ...   the two halves of x, (..., n, d / 2) each
    # return ...            the two turned halves side by side again, (..., n, d)
    raise NotImplementedError("rotate: write this part")
