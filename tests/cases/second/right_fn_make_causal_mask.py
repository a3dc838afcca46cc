# RIGHT: fn_make_causal_mask. Object: make_causal_mask
import torch


def make_causal_mask(n):
    return torch.full((n, n), float("-inf")).triu(1)
