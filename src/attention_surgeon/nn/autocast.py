"""Autocast: PyTorch's functions mix dtypes under it and return its own; so do ours, though they compute in theirs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def under_autocast(x: Tensor) -> bool:
    """Return whether autocast would convert `x`; it leaves float64 alone.

    >>> under_autocast(torch.ones(1))
    False
    """
    return x.dtype != torch.float64 and _is_on(x.device.type)


def result_dtype(query: Tensor) -> torch.dtype:
    """Return the dtype of a drop-in's results: that of query, or autocast's.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     result_dtype(torch.ones(1)), result_dtype(torch.ones(1).double())
    (torch.bfloat16, torch.float64)
    """
    return torch.get_autocast_dtype(query.device.type) if under_autocast(query) else query.dtype


def cast_under_autocast(*given: Any) -> tuple[Any, ...]:
    """Return tensors in autocast's dtype, as PyTorch's own functions cast them; everything else as it came.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     [x.dtype for x in cast_under_autocast(torch.ones(1), torch.ones(1).half(), torch.ones(1).bool())]
    [torch.bfloat16, torch.bfloat16, torch.bool]
    """
    return tuple(x.to(result_dtype(x)) if type(x) is Tensor and x.is_floating_point() else x for x in given)


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Keep autocast from rounding the sums of a block whose dtypes have been chosen: float32 is autocast's to round.

    >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(torch.ones(1)):
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
    torch.float32
    """
    device = x.device.type
    return torch.autocast(device, enabled=False) if _is_on(device) else nullcontext()


def _is_on(device: str) -> bool:
    # torch 2.9 does not trace the question which devices have autocast; of those that a graph can be on, all but one do
    is_there = device != "meta" if torch.compiler.is_compiling() else torch.amp.is_autocast_available(device)
    return is_there and torch.is_autocast_enabled(device)
