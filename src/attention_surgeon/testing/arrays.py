"""Between the judge's float64 tensors and what a target takes and gives: torch or NumPy, in its usual dtype."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.testing.answer import Array

Library: TypeAlias = Literal["torch", "numpy"]


def to_library(x: Tensor, library: Library, dtype: torch.dtype | None = None) -> Any:
    """Return a fresh copy as the target takes it: float32 tensors (or `dtype`), float64 arrays; masks as they are."""
    if x.is_floating_point() and library == "torch":
        x = x.to(dtype or torch.float32)
    copy = x.clone().contiguous()
    return copy if library == "torch" else copy.numpy()


def as_code(name: str, value: Any) -> str:
    """Return the assignment that makes a tensor or an array again, in its own library and dtype.

    >>> as_code("Q", torch.tensor([[1.0, -0.5]]))
    'Q = torch.tensor([[1, -0.5]], dtype=torch.float32)'
    """
    maker, dtype = ("torch.tensor", value.dtype) if isinstance(value, Tensor) else ("np.array", f"np.{value.dtype}")
    return f"{name} = {maker}({_listed(value.tolist())}{f', dtype={dtype}' if 'float' in str(dtype) else ''})"


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_listed, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return str(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def to_array(value: Any) -> Array:
    """Return a tensor or array as float64."""
    if isinstance(value, Tensor):
        value = value.detach().to("cpu", torch.float64).numpy()
    return np.asarray(value, dtype=np.float64)


def arrays_in(result: Any) -> list[Any]:
    """Return every tensor or array with an axis in what a call returned, in order."""
    if isinstance(result, Tensor | np.ndarray):
        return [result] if result.ndim else []
    if isinstance(result, Mapping):
        result = result.values()
    elif hasattr(result, "__dict__") and not isinstance(result, tuple | list):
        result = vars(result).values()
    elif not isinstance(result, tuple | list):
        return []
    return [value for value in result if isinstance(value, Tensor | np.ndarray) and value.ndim]
