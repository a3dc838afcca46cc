"""Queries, keys, values and masks for the scan, and the dense answers that it must give."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon.masks import (
    Mask,
    causal_mask,
    document_mask,
    padding_mask,
    prefix_mask,
    reverse_mask,
    window_mask,
)
from attention_surgeon.stats import PER_HEAD, AttentionScan, HeadStatistics

RELATIVE = 1e-5
"""What the project promises of every number."""

ABSOLUTE = 2e-7
"""A weight near 1 is known to 6e-8 in float32, so nothing that is made of 1 - w can be known better."""


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64).to(dtype)


def dense_weights(
    query: Tensor, key: Tensor, allowed: Tensor | None = None, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Return the weights in float64, by PyTorch alone; `(batch, heads, n_q, n_k)`, shared heads repeated."""
    key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = query.double() @ key.double().mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias.double()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    return scores.softmax(-1).nan_to_num(0.0)


class DrawnMask(NamedTuple):
    """A kind of mask and its number, from 0 to 1 of what is possible."""

    kind: str
    share: float

    def of(self, n_q: int, n_k: int) -> Mask | None:
        """Make it; some have rows or columns that are empty."""
        size = 1 + round(self.share * (n_k - 1))
        made: dict[str, Callable[[], Mask]] = {
            "causal": lambda: causal_mask(n_q, n_k),
            "causal from the start": lambda: causal_mask(n_q, n_k, align="start"),
            "reverse": lambda: reverse_mask(n_q, n_k),
            "window": lambda: window_mask(n_q, n_k, size=size),
            "window to both sides": lambda: window_mask(n_q, n_k, size=size, is_causal=False),
            "prefix": lambda: prefix_mask(n_q, n_k, prefix_len=size),
            "padding": lambda: causal_mask(n_q, n_k) & padding_mask([size - 1], n_k=n_k),
            "documents": lambda: document_mask(torch.arange(n_q) * 3 // n_q, torch.arange(n_k) * 3 // n_k),
        }
        return None if self.kind == "none" else made[self.kind]()


KINDS = (
    "none",
    "causal",
    "causal from the start",
    "reverse",
    "window",
    "window to both sides",
    "prefix",
    "padding",
    "documents",
)
DRAWN_MASKS = st.builds(DrawnMask, st.sampled_from(KINDS), st.floats(0, 1))


def assert_same_numbers(scan: AttentionScan, expected: HeadStatistics, relative: float = RELATIVE) -> None:
    """Every statistic, what each key receives, and the counts."""
    for name in (*PER_HEAD, "received"):
        wanted, found = getattr(expected, name), getattr(scan.statistics, name)
        assert (wanted is None) == (found is None), name
        if wanted is not None:
            torch.testing.assert_close(
                found,
                wanted,
                rtol=relative,
                atol=ABSOLUTE,
                equal_nan=True,
                msg=lambda text, name=name: f"{name}: {text}",
            )
    for name in ("num_rows", "num_empty"):
        assert torch.equal(getattr(scan.statistics, name), getattr(expected, name)), name
