# RIGHT: fn_create_window_mask. Object: create_window_mask
import torch


def create_window_mask(seq_len, window_size):
    mask = torch.zeros(seq_len, seq_len, dtype=torch.bool)
    for i in range(seq_len):
        mask[i, max(0, i - window_size + 1) : i + 1] = True
    return mask
