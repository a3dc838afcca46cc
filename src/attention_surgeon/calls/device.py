"""Code that asks for a GPU is tried on the processor that is there."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def without_gpu() -> Iterator[None]:
    """Where there is no GPU, let `.cuda()` leave tensors and modules where they are."""
    if torch.cuda.is_available():
        yield
        return
    kept = Tensor.cuda, nn.Module.cuda
    Tensor.cuda = nn.Module.cuda = _stay  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        Tensor.cuda, nn.Module.cuda = kept  # pyright: ignore[reportAttributeAccessIssue]


def _stay(self: Any, *_: Any, **__: Any) -> Any:
    return self
