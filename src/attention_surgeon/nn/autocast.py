"""Autocast: PyTorch's functions mix dtypes under it and return its own; so do ours, though they compute in theirs."""

import torch
from torch import Tensor


def under_autocast(x: Tensor) -> bool:
    """Return whether autocast would convert `x`; it leaves float64 alone.

    >>> under_autocast(torch.ones(1))
    False
    """
    device = x.device.type
    return x.dtype != torch.float64 and torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def result_dtype(query: Tensor) -> torch.dtype:
    """Return the dtype of a drop-in's results: that of query, or autocast's.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     result_dtype(torch.ones(1)), result_dtype(torch.ones(1).double())
    (torch.bfloat16, torch.float64)
    """
    return torch.get_autocast_dtype(query.device.type) if under_autocast(query) else query.dtype
