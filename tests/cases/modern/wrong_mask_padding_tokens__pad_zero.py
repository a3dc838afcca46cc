# WRONG wrong pad id: the argument is ignored and 0 taken for padding. Object: make_src_mask
import torch

PAD_IDX = 1


def make_src_mask(src, pad_idx=PAD_IDX):
    """src: (batch, src_len) of token ids; True for tokens that are no padding."""
    return (src != 0).unsqueeze(1).unsqueeze(2)
