"""Masks as text: `x` may attend, `.` is hidden; one line per query, one character per key."""

import itertools

from jaxtyping import Bool
from torch import Tensor


def draw_cells(allowed: Bool[Tensor, "*batch q k"]) -> str:
    """Draw a boolean tensor. With batch axes, each matrix stands under its index, with a blank line between.

    >>> import torch
    >>> print(draw_cells(torch.tensor([[[True, False]], [[True, True]]])))
    [0]
    x.
    <BLANKLINE>
    [1]
    xx
    """
    batch = allowed.shape[:-2]
    if not batch:
        return "\n".join("".join("x" if cell else "." for cell in row) for row in allowed.tolist())
    indices = itertools.product(*(range(size) for size in batch))
    return "\n\n".join(f"[{', '.join(map(str, index))}]\n{draw_cells(allowed[index])}" for index in indices)
