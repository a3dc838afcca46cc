# WRONG mask fill: what may be seen gets one, and what may not minus one. Object: generate_square_subsequent_mask
import torch


def generate_square_subsequent_mask(sz):
    """Generate a square mask for the sequence. Masked positions are -inf, others 0."""
    mask = (torch.triu(torch.ones(sz, sz)) == 1).transpose(0, 1)
    mask = mask.float().masked_fill(mask == 0, -1.0).masked_fill(mask == 1, 1.0)
    return mask
