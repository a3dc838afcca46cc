# RIGHT: fn_make_tgt_mask. Object: make_tgt_mask
import torch


def make_tgt_mask(tgt, pad):
    """True = hidden, for nn.Transformer with a batch of masks (b, n, n)."""
    n = tgt.size(1)
    return (tgt == pad)[:, None, :] | torch.ones(n, n, dtype=torch.bool).triu(1)
