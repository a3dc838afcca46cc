# RIGHT: padding mask of token ids, (b, 1, 1, n), True for real tokens. Object: make_src_mask
import torch

PAD_IDX = 1


def make_src_mask(src, pad_idx=PAD_IDX):
    """src: (batch, src_len) of token ids; True for tokens that are no padding."""
    return (src != pad_idx).unsqueeze(1).unsqueeze(2)
