"""What a scan finds out about each row, and how that becomes the sums of `RowSums`."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.row_sums import COUNTS, SUMS
from attention_surgeon.stats.scan_plan import RowGroup

COLUMNS = (*(name for name in (*COUNTS, *SUMS) if name not in ("num_empty", "largest")), "output_norm")
"""One number each for every row; summed over the rows they are the fields of `RowSums` of the same name."""


@final
class RowTable:
    """The numbers of some rows, float64 `(r, len(COLUMNS))`, by name."""

    def __init__(self, numbers: Tensor) -> None:
        """Take the table as it is."""
        self.numbers = numbers

    @classmethod
    def zeros(cls, num_rows: int, device: torch.device) -> "RowTable":
        """Return a table of zeros."""
        return cls(torch.zeros(num_rows, len(COLUMNS), dtype=torch.float64, device=device))

    def __getitem__(self, name: str) -> Tensor:
        """Return a column, `(r,)`; what is added to it in place is added to the table."""
        return self.numbers[:, COLUMNS.index(name)]

    def __setitem__(self, name: str, column: Tensor) -> None:
        """Replace a column."""
        self.numbers[:, COLUMNS.index(name)] = column


@final
@dataclass(frozen=True, eq=False)
class GroupResult:
    """What was found of some rows.

    Attributes:
        group: The rows.
        table: What was found of each.
        first_key: Which key the first number of `received` is of.
        received: `(c,)`, the sum over the rows of what each key gets; None: only the map was asked for.
        largest: `(r, columns of the map)`, the largest weight of each row in each cell; None: no map.
        mass: `(r, columns of the map)`, the sum of weights of each row in each cell; None: no map.
    """

    group: RowGroup
    table: RowTable
    first_key: int
    received: Tensor | None
    largest: Tensor | None
    mass: Tensor | None
