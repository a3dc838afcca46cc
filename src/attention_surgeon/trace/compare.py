"""Comparing a recorded tensor with the same thing computed again: how far off, where, and how far is allowed.

A record is rounded to its dtype, and whoever made it summed in some precision of its own. Both errors have a bound,
so nothing here is a tolerance found by trying. With u one rounding step of the record's dtype and a one of the
precision the sums ran in (float32 at least, or the record's own if that is finer):

    a value that was rounded once       |error| <= 2 u |value|
    a sum of n products                 |error| <= (n + 2) a Σ |product|
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_FLUSHED_TO_ZERO = 1.2e-38
"""Below its smallest normal number an accelerator may turn a float32 into 0."""


def rounding(dtype: torch.dtype) -> float:
    """Return u, the rounding step of a recorded value."""
    return torch.finfo(dtype).eps


def summing(dtype: torch.dtype) -> float:
    """Return a, the rounding step of the precision in which sums ran: float32, or `dtype` if it is finer."""
    return min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)


def smallest(dtype: torch.dtype) -> float:
    """Return the error that a number next to 0 may have: the last step of `dtype`, or what is flushed to 0."""
    return max(torch.finfo(dtype).tiny * torch.finfo(dtype).eps, _FLUSHED_TO_ZERO)


@final
@dataclass(frozen=True)
class Comparison:
    """How a recorded tensor differs from what it should be.

    Attributes:
        num_cells: How many cells were compared.
        num_wrong: How many are further off than allowed; NaN is always wrong.
        largest_error: The largest difference; NaN if any cell is.
        worst: Place of the worst wrong cell; None if none is wrong.
        recorded: What stands at `worst`.
        expected: What should stand there.
    """

    num_cells: int
    num_wrong: int
    largest_error: float
    worst: tuple[int, ...] | None
    recorded: float
    expected: float

    @property
    def passed(self) -> bool:
        """Whether every cell is as close as allowed."""
        return self.num_wrong == 0

    def off_by(self) -> str:
        """Return the largest difference, to stand behind what was compared."""
        return ", exact" if self.largest_error == 0 else f" ± {self.largest_error:.0e}"

    def wrong(self) -> str:
        """Return how many cells differ, and the worst one with its place."""
        return (
            f"{self.num_wrong} of {self.num_cells} differ, the most at {list(self.worst or ())}: "
            f"{self.recorded:.4g} where {self.expected:.4g} is due"
        )


def compare(recorded: Tensor, expected: Tensor, allowed_error: Tensor, where: Tensor | None = None) -> Comparison:
    """Compare two tensors cell by cell.

    Args:
        recorded: What the trace holds.
        expected: What was computed again, float64, same shape.
        allowed_error: Broadcasts to that shape.
        where: Boolean, the cells to look at; None: all.

    >>> compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), torch.tensor(0.1)).wrong()
    '1 of 2 differ, the most at [1]: 2.5 where 2 is due'
    """
    recorded = recorded.double()
    error = (recorded - expected).abs()
    # inf - inf is NaN, yet the two agree.
    error = error.masked_fill(recorded == expected, 0.0)
    if where is not None:
        error = error.masked_fill(~where, 0.0)
    wrong = ~(error <= allowed_error)  # written so that NaN is wrong
    num_cells = error.numel() if where is None else int(where.sum())
    if not wrong.any():
        largest = float(error.max()) if error.numel() else 0.0
        return Comparison(num_cells, 0, largest, None, 0.0, 0.0)
    badness = error.nan_to_num(nan=float("inf")).masked_fill(~wrong, -1.0)
    worst = tuple(int(place) for place in torch.unravel_index(badness.argmax(), badness.shape))
    return Comparison(
        num_cells, int(wrong.sum()), float(error.max()), worst, float(recorded[worst]), float(expected[worst])
    )
