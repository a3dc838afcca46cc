"""Bonus 5, attention dropout: in training, some weights are set to 0 by chance."""

import torch


def attention_dropout(weights, p, training):
    """Return weights of the same shape: outside training as they are, in training each one dropped with probability p.

    What is kept grows, so that the mean over many draws is the weight itself.
    """
    # YOUR CODE HERE
    # 1. outside training, and for p = 0: nothing changes
    # 2. one uniform random number for each weight (torch.rand_like) says whether it is kept
    # 3. by which factor must what is kept grow?
    raise NotImplementedError("attention_dropout: write this part")
