"""Inputs in which every size is a different prime, so that no two axes can be confused without notice."""

import torch
from torch import Tensor

BATCH, HEADS, N_Q, N_K, D_K, D_V = 2, 3, 5, 7, 11, 13


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def qkv(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    return (
        draw(BATCH, HEADS, N_Q, D_K, seed=seed, dtype=dtype),
        draw(BATCH, HEADS, N_K, D_K, seed=seed + 1, dtype=dtype),
        draw(BATCH, HEADS, N_K, D_V, seed=seed + 2, dtype=dtype),
    )


def ragged(seed: int = 3) -> Tensor:
    """Return a boolean mask (True = may attend) in which query 0 sees every key, query 1 none, the rest some."""
    mask = draw(BATCH, HEADS, N_Q, N_K, seed=seed) > 0
    mask[..., 0, :] = True
    mask[..., 1, :] = False
    mask[..., 2:, 0] = True
    return mask


def additive(allowed: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the same mask written as numbers to add."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, float("-inf"))
