"""Positions as angles: rotary embeddings (RoPE)."""

import torch


def rotate(x, positions, base=10000.0):
    """Return x (..., n, d) with the token at positions[t] turned by angles that grow with its position.

    Entry i of the first half of a vector and entry i of the second half are one pair. The pair with index i is
    turned by the angle positions[t] * base ** (-2 * i / d): (a, b) becomes (a cos - b sin, a sin + b cos).
    """
    # BEGIN SOLUTION
    # STUB: # speeds = ...          (d / 2,): base ** (-2 i / d)
    # STUB: # angles = ...          (n, d / 2): every position with every speed
    # STUB: # first, second = ...   the two halves of x, (..., n, d / 2) each
    # STUB: # return ...            the two turned halves side by side again, (..., n, d)
    d = x.shape[-1]
    speeds = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angles = positions.to(x.dtype)[:, None] * speeds
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
    # END SOLUTION
