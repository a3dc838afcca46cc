# RIGHT: generate_square_subsequent_mask: -inf above the diagonal, 0 elsewhere. Object: generate_square_subsequent_mask
import torch


def generate_square_subsequent_mask(sz):
    """Generate a square mask for the sequence. Masked positions are -inf, others 0."""
    mask = (torch.triu(torch.ones(sz, sz)) == 1).transpose(0, 1)
    mask = mask.float().masked_fill(mask == 0, float('-inf')).masked_fill(mask == 1, float(0.0))
    return mask
