# WRONG window: the future inside the window is seen. Object: sliding_window_mask
import torch


def sliding_window_mask(seq_len: int, window: int) -> torch.Tensor:
    """Each token sees itself and the window - 1 tokens before it. True = visible."""
    i = torch.arange(seq_len)[:, None]
    j = torch.arange(seq_len)[None, :]
    return (j > i - window)
