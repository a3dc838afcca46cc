"""Weights to measure: drawn ones, and heads that follow one pattern."""

import torch
from torch import Tensor

from attention_surgeon.ops import softmax


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_weights(*shape: int, seed: int = 0, allowed: Tensor | None = None, sharpness: float = 1.0) -> Tensor:
    """Return float64 weights of `shape`; rows in which nothing is allowed are empty."""
    scores = sharpness * torch.randn(*shape, generator=generator(seed), dtype=torch.float64)
    return softmax(scores if allowed is None else scores.masked_fill(~allowed, float("-inf")))


def pure_heads(n: int, is_causal: bool) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return a head `(n, n)` for each pattern, who may attend, and the tokens, whose second half repeats the first."""
    allowed = torch.ones(n, n, dtype=torch.bool)
    allowed = allowed.tril() if is_causal else allowed
    q = torch.arange(n)
    half, column = n // 2, 3
    looks_at = {
        "diagonal": q,
        "previous": (q - 1).clamp(min=0),
        "sink": torch.zeros_like(q),
        "vertical": q.clamp(max=column) if is_causal else torch.full_like(q, column),
        "induction": torch.where((q >= half) & (q < 2 * half), q - half + 1, 0),
    }
    if not is_causal:
        looks_at["next"] = (q + 1).clamp(max=n - 1)
    heads = {name: torch.eye(n, dtype=torch.float64)[keys] for name, keys in looks_at.items()}
    run = q // max(4, n // 4)
    heads["block"] = even((run[:, None] == run) & allowed)
    heads["uniform"] = even(allowed)
    tokens = torch.cat([torch.arange(half), torch.arange(half), torch.full((n % 2,), n)])
    return heads, allowed, tokens


def even(allowed: Tensor) -> Tensor:
    """Return weights that give every allowed key of a row the same."""
    return allowed.double() / allowed.sum(-1, keepdim=True)


def with_noise(head: Tensor, allowed: Tensor, share: float, seed: int) -> Tensor:
    """Return the head with a share of every row given to keys at random."""
    noise = torch.rand(head.shape, generator=generator(seed), dtype=head.dtype) * allowed
    return (1 - share) * head + share * noise / noise.sum(-1, keepdim=True)


def with_uneven_weights(head: Tensor, spread: float, seed: int) -> Tensor:
    """Return the head as if its scores had been moved by N(0, spread²)."""
    moved = head * torch.exp(spread * torch.randn(head.shape, generator=generator(seed), dtype=head.dtype))
    return moved / moved.sum(-1, keepdim=True)
