"""Bonus 5, attention dropout: in training, some weights are set to 0 by chance."""

import torch


def attention_dropout(weights, p, training):
    """Return weights of the same shape: outside training as they are, in training each one dropped with probability p.

    What is kept grows, so that the mean over many draws is the weight itself.
    """
    # BEGIN SOLUTION
    # STUB: # 1. outside training, and for p = 0: nothing changes
    # STUB: # 2. one uniform random number for each weight (torch.rand_like) says whether it is kept
    # STUB: # 3. by which factor must what is kept grow?
    if not training or p == 0:
        return weights
    kept = torch.rand_like(weights) >= p
    return weights * kept / (1 - p)
    # END SOLUTION
