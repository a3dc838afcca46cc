# WRONG mask polarity: 1 where a token may be looked at, against the docstring. Object: create_look_ahead_mask
import numpy as np


def create_look_ahead_mask(size):
    """1 where a token must not be looked at."""
    mask = np.tril(np.ones((size, size)))
    return mask  # (seq_len, seq_len)
