"""What somebody may mean by the ratio of local to global attention: how far is local, and against what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from attention_surgeon.testing.answer import Array, same_numbers

LARGE = 1e3
"""What stands for infinity where nothing is far away and a small number was divided by."""

_Ratio: TypeAlias = Callable[[Array, npt.NDArray[np.bool_]], float]


def _to_the_rest(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return _divide(weights[..., near].sum(), weights[..., ~near].sum())


def _to_all(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return float(weights[..., near].sum() / weights.sum())


def _by_row(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    local = np.where(near, weights, 0.0).sum(-1)
    far = np.where(near, 0.0, weights).sum(-1)
    return float(np.mean([_divide(*pair) for pair in zip(local.ravel(), far.ravel(), strict=True)]))


def _by_pair(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return _divide(weights[..., near].mean(), weights[..., ~near].mean()) if (~near).any() else float("inf")


_RATIOS: Mapping[str, _Ratio] = {
    "the weight on keys up to {} away, to the weight on the others": _to_the_rest,
    "the weight on keys up to {} away, to all weight": _to_all,
    "the weight on keys up to {} away, to the weight on the others, averaged over rows": _by_row,
    "the mean weight of keys up to {} away, to that of the others": _by_pair,
}


@dataclass(frozen=True)
class Locality:
    """One meaning.

    Attributes:
        ratio: In words, with a place for the window.
        windows: How far local reaches, for every matrix that it was read from.
    """

    ratio: str
    windows: tuple[frozenset[int], ...]

    @property
    def sentence(self) -> str:
        """`local_vs_global is the weight on keys up to 2 away, to the weight on the others`."""
        common = frozenset.intersection(*self.windows)
        window = str(min(common)) if common else "/".join(str(min(found)) for found in self.windows)
        return f"local_vs_global is {self.ratio.format(window)}"


def find_locality(weights: Sequence[Array], numbers: Sequence[Array | None]) -> Locality | None:
    """Return what was measured, the simplest meaning first; None if it is no such ratio.

    Args:
        weights: Several matrices `(*batch, n, n)`.
        numbers: The ratio that was given for each.
    """
    if any(number is None for number in numbers):
        return None
    pairs = [(matrix, number) for matrix, number in zip(weights, numbers, strict=True) if number is not None]
    meanings = (Locality(ratio, tuple(windows_of(ratio, *pair) for pair in pairs)) for ratio in _RATIOS)
    return next((locality for locality in meanings if all(locality.windows)), None)


def windows_of(ratio: str, weights: Array, number: Array) -> frozenset[int]:
    """Return the windows with which the ratio is that number."""
    if number.ndim:
        return frozenset()
    position = np.arange(weights.shape[-1])
    distance = np.abs(position[:, None] - position)
    return frozenset(window for window in range(len(position)) if _is_ratio(ratio, weights, distance <= window, number))


def _is_ratio(ratio: str, weights: Array, near: npt.NDArray[np.bool_], number: Array) -> bool:
    expected = _RATIOS[ratio](weights, near)
    return bool(abs(number) >= LARGE) if np.isinf(expected) else same_numbers(number, np.array(expected))


def _divide(local: float, far: float) -> float:
    return float(local / far) if far > 1e-7 * local else float("inf")
