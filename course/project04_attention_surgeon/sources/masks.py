"""Task 3b: masks that are added to the scores: 0 where a query may attend, -inf where it may not."""

import torch


def create_causal_mask(seq_len, device="cpu"):
    """Return [seq_len, seq_len]: 0 in the lower triangle with the diagonal, -inf above."""
    # BEGIN SOLUTION
    # STUB: # start with -inf everywhere; what does torch.triu keep, and from which diagonal on?
    full = torch.full((seq_len, seq_len), float("-inf"), device=device)
    return torch.triu(full, diagonal=1)
    # END SOLUTION


def create_reverse_mask(seq_len, device="cpu"):
    """Return the mirror image, a mistake on purpose: 0 in the upper triangle with the diagonal, -inf below.

    It hides the past, and shows each position itself and the future.
    """
    # BEGIN SOLUTION
    # STUB: # the same with torch.tril
    full = torch.full((seq_len, seq_len), float("-inf"), device=device)
    return torch.tril(full, diagonal=-1)
    # END SOLUTION
