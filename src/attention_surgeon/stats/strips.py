"""Some query rows of weights at a time, and the walk over dense weights that yields them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.ops import working_dtype

CELLS_AT_ONCE = 1 << 22
"""How many weights are looked at together: 32 MiB in float64."""


@final
@dataclass(frozen=True)
class Strip:
    """The weights of some query rows.

    Attributes:
        weights: `(*batch, heads, r, c)`, in the working precision, 0 in hidden cells and empty rows.
        positions: `(r,)`, where each query stands among the keys; below 0 if it stands before the first.
        first_key: Which key the first column is.
        allowed: Boolean, broadcasts to `weights`, True = may attend; None: every key of the strip is visible.
    """

    weights: Tensor
    positions: Tensor
    first_key: int = 0
    allowed: Tensor | None = None

    @property
    def keys(self) -> Tensor:
        """`(c,)`, the key of each column."""
        num_columns = self.weights.shape[-1]
        return torch.arange(self.first_key, self.first_key + num_columns, device=self.weights.device)

    def num_visible(self) -> Tensor:
        """How many keys each row may see, broadcasts to `(*batch, heads, r)`."""
        if self.allowed is None:
            return torch.tensor(self.weights.shape[-1], device=self.weights.device)
        return self.allowed.sum(-1)


def strips_of(weights: Tensor, visible: Tensor | None) -> Iterator[Strip]:
    """Yield the rows of dense weights, some at a time, in the working precision; rows without visible keys as zeros."""
    *leading, num_queries, num_keys = weights.shape
    at_once = max(1, CELLS_AT_ONCE // (math.prod(leading) * num_keys))
    positions = torch.arange(num_keys - num_queries, num_keys, device=weights.device)
    for start in range(0, num_queries, at_once):
        rows = slice(start, start + at_once)
        some = weights[..., rows, :].detach().to(working_dtype(weights.dtype, weights.device))
        allowed = None
        if visible is not None:
            allowed = visible.expand_as(weights)[..., rows, :]
            some = some.masked_fill(~allowed.any(-1, keepdim=True), 0.0)
        yield Strip(some, positions[rows], allowed=allowed)
