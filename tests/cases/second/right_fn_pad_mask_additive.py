# RIGHT: fn_pad_mask_additive. Object: padding_mask
import torch


def padding_mask(lengths, n):
    """(b, 1, 1, n), added to the scores."""
    hidden = torch.arange(n)[None] >= lengths[:, None]
    return torch.zeros(hidden.shape).masked_fill(hidden, -1e9)[:, None, None]
