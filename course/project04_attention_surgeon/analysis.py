"""Task 2c: what the weights say in four numbers."""

import torch


def analyze_attention_patterns(attention_weights):
    """Return a dictionary of four numbers about attention_weights [seq_len, seq_len].

    max_attention: the largest weight.
    entropy: of a row, in nats, averaged over the rows; a weight of 0 adds 0.
    diagonal_mass: the mean weight that a position gives to itself.
    local_vs_global: the weight on keys at most 1 away, divided by the weight on all others.
    """
    # YOUR CODE HERE
    # entropy of a row: minus the sum of w * log(w), where w > 0
    # distance of query i and key j: abs(i - j)
    raise NotImplementedError("analyze_attention_patterns: write this part")
