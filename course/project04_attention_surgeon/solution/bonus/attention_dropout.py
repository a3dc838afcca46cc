"""Bonus 5, attention dropout: in training, some weights are set to 0 by chance."""

import torch


def attention_dropout(weights, p, training):
    """Return weights of the same shape: outside training as they are, in training each one dropped with probability p.

    What is kept grows, so that the mean over many draws is the weight itself.
    """
    if not training or p == 0:
        return weights
    kept = torch.rand_like(weights) >= p
    return weights * kept / (1 - p)
