"""Numbers for probes: drawn once per seed, exact in float32, sizes that are different primes."""

from dataclasses import dataclass

import torch
from torch import Tensor

AMPLITUDE = 1.25
"""Spread of the drawn numbers: scores are then wide enough for every step to matter, and no softmax is one-hot."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of one call; those of a probe are different primes, so that no two can be mistaken."""

    batch: int
    heads: int
    n_q: int
    n_k: int
    d_k: int
    d_v: int


SIZES = (Sizes(2, 3, 5, 7, 11, 13), Sizes(3, 2, 7, 5, 17, 11))
"""Of the first probe, and of the second, which confirms."""


def generator(seed: int) -> torch.Generator:
    """Return a source of numbers that nobody else draws from."""
    return torch.Generator().manual_seed(seed)


def numbers(source: torch.Generator, *shape: int, amplitude: float = AMPLITUDE) -> Tensor:
    """Draw normal numbers in float64 whose values float32 holds exactly."""
    return (torch.randn(*shape, generator=source) * amplitude).double()


def ragged_mask(source: torch.Generator, *shape: int) -> Tensor:
    """Draw a boolean mask without pattern: every row and column has entries of both kinds, where there is room."""
    if min(shape[-2:]) < 2:  # a row or column of one entry has no room for both kinds
        return torch.ones(shape, dtype=torch.bool).tril(shape[-1] - shape[-2])
    while True:
        allowed = torch.rand(*shape, generator=source) < 0.55
        if all(bool((allowed.any(axis) & ~allowed.all(axis)).all()) for axis in (-1, -2)):
            return allowed


def causal(n_q: int, n_k: int) -> Tensor:
    """Return the mask of a language model, aligned at the end: `(n_q, n_k)`."""
    return torch.arange(n_k) <= torch.arange(n_q)[:, None] + n_k - n_q


def padding(batch: int, n_k: int) -> Tensor:
    """Return the mask of padded sequences: `(batch, n_k)`, lengths from n_k - 1 down."""
    lengths = torch.tensor([max(1, n_k - 1 - 2 * index) for index in range(batch)])
    return torch.arange(n_k) < lengths[:, None]
