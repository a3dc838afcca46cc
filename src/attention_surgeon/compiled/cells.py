"""Masks that come written out: most of them say no more than from where to where each query sees."""

import torch
from torch import Tensor

from attention_surgeon.compiled.library import library


def runs_of_cells(cells: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the first key that each query sees and the one behind the last; None where one sees several runs.

    Args:
        cells: `(n_q, n_k)`, boolean or uint8 of 0 and 1, True = may attend.

    Returns:
        int64 `(n_q,)` each, equal for a query that sees none; None as well where keys do not lie one after the other.

    Raises:
        NotThere: the library is not there.
    """
    if cells.stride(-1) != 1:
        return None
    start, stop = torch.empty(2, cells.shape[0], dtype=torch.int64)
    ends = (start.data_ptr(), stop.data_ptr())
    found = library().attention_spans(cells.data_ptr(), cells.shape[0], cells.stride(0), cells.shape[1], *ends)
    return (start, stop) if found else None
