# WRONG causal_reversed: the lower triangle is hidden. Object: create_look_ahead_mask
import numpy as np


def create_look_ahead_mask(size):
    """1 where a token must not be looked at."""
    mask = 1 - np.triu(np.ones((size, size)))
    return mask  # (seq_len, seq_len)
