"""The exponentials of some rows, tile by tile, and the memory they lie in."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.scan_plan import Tile


@final
class Buffers:
    """Memory that a thread uses again and again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, size: int, like: Tensor) -> Tensor:
        """Return `size` numbers of the dtype and device of `like`, whatever they hold."""
        held = self._held.get((name, like.dtype))
        if held is None or held.numel() < size:
            held = self._held[name, like.dtype] = torch.empty(size, dtype=like.dtype, device=like.device)
        return held[:size]

    def ramp(self, length: int, like: Tensor, *, is_falling: bool) -> Tensor:
        """Return 0, 1, ... or, falling, ..., 1, 0."""
        name = f"ramp {length} {is_falling}"
        if (name, like.dtype) not in self._held:
            rising = torch.arange(length, dtype=like.dtype, device=like.device)
            self._held[name, like.dtype] = rising.flip(0) if is_falling else rising
        return self._held[name, like.dtype]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A tile that is not empty.

    Attributes:
        place: Which of the plan's tiles.
        tile: Which keys.
        weights: `(r, c)`, the exponentials, 0 where hidden.
        hidden: Boolean `(r, c)`; None: every key is visible to every row.
        bias: `(r, c)`, what the mask adds to the scores.
    """

    place: int
    tile: Tile
    weights: Tensor
    hidden: Tensor | None
    bias: Tensor | None

    def at(self, keys: Tensor) -> Tensor:
        """Return for each row the exponential at one key, 0 where the tile does not hold it; `keys` `(r,)`."""
        column = keys - self.tile.start
        is_here = (column >= 0) & (column < self.weights.shape[-1])
        found = self.weights.gather(1, column.clamp(0, self.weights.shape[-1] - 1)[:, None])[:, 0]
        return found * is_here
