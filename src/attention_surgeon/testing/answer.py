"""What one call gave: numbers, or the error that it raised."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.verdict import Array

RELATIVE, ABSOLUTE = 2e-4, 2e-5
"""How far two answers may lie apart and be the same. Sums of a few dozen float32 products err by 1e-6; the nearest two
faults of the catalogue lie further apart than 1e-3 on the probes (`surgeon doctor` measures both)."""


Library: TypeAlias = Literal["torch", "numpy"]


@dataclass(frozen=True)
class Answer:
    """The values of one call in float64, or its error.

    Attributes:
        values: In the order of the contract; None where nothing was returned in that place.
        error: `RuntimeError: mat1 and mat2 shapes ...`, or None.
        dtype: Of the first value as it was returned, `float32`.
    """

    values: tuple[Array | None, ...] = ()
    error: str | None = None
    dtype: str | None = None

    @property
    def is_finite(self) -> bool:
        """Whether there is an answer, and no NaN or infinity in it."""
        return self.error is None and all(value is None or bool(np.isfinite(value).all()) for value in self.values)


@contextmanager
def quietly() -> Iterator[None]:
    """Call somebody else's code: no gradient, and its warnings about overflow are its own affair."""
    with torch.no_grad(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_heard: ContextVar[list[BaseException] | None] = ContextVar("heard", default=None)


@contextmanager
def errors_heard() -> Iterator[list[BaseException]]:
    """Yield a list that fills with the errors themselves that calls raise meanwhile: they know their lines."""
    errors: list[BaseException] = []
    token = _heard.set(errors)
    try:
        yield errors
    finally:
        _heard.reset(token)


def raised(error: BaseException) -> Answer:
    """Return the answer of a call that raised."""
    heard = _heard.get()
    if heard is not None:
        heard.append(error)
    first_line = (str(error).splitlines() or [""])[0]
    return Answer(error=f"{type(error).__name__}: {first_line}".removesuffix(": "))


def same_numbers(given: Array, expected: Array) -> bool:
    """Whether two arrays are the same up to rounding; NaN and infinities must stand in the same places."""
    if given.shape != expected.shape:
        return False
    if np.isfinite(expected).all():  # `np.allclose` says the same, and takes four times as long
        return bool((np.abs(given - expected) <= tolerance_of(expected) + RELATIVE * np.abs(expected)).all())
    return bool(np.allclose(given, expected, rtol=RELATIVE, atol=tolerance_of(expected), equal_nan=True))


def tolerance_of(expected: Array) -> float:
    """Return how far a small number may be off: sums whose terms are large err by a part of the largest."""
    finite = np.abs(expected[np.isfinite(expected)])
    return ABSOLUTE * max(1.0, float(finite.max())) if finite.size else ABSOLUTE


def same_answer(given: Answer, expected: Answer) -> bool:
    """Whether `given` is what was expected; a value that was not returned is not compared, unless it is the first."""
    if given.error is not None or expected.error is not None:
        return (given.error is None) == (expected.error is None)
    for index, (ours, theirs) in enumerate(zip(given.values, expected.values, strict=False)):
        if ours is None or theirs is None:
            if index == 0:
                return False
            continue
        if not same_numbers(ours, theirs):
            return False
    return True


def solve_weights(output: Array, value: Array) -> Array | None:
    """Return the weights with which `output = weights V`, or None where the output does not tell them.

    With at least as many columns as keys V can be undone. With just as many, every output has a solution, which is
    taken for weights only if its rows sum to 1.
    """
    num_keys, size = value.shape[-2:]
    if output.shape[-1] != size or size < num_keys or not np.isfinite(output).all():
        return None
    weights = output @ np.linalg.pinv(value)
    is_told = size > num_keys or np.allclose(weights.sum(-1), 1.0, atol=1e-3)
    return weights if is_told and same_numbers(weights @ value, output) else None


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
