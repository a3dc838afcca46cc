"""Blocks of a mask: which cells are asked for, and what is in them."""

import enum
import reprlib

import torch
from jaxtyping import Bool
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError

WHOLE = slice(None)


class TileKind(enum.StrEnum):
    """What a block of a mask holds: an empty one need not be computed, a full one needs no mask.

    Each is also the word itself:

    >>> TileKind.EMPTY == "empty", [str(kind) for kind in TileKind]
    (True, ['empty', 'full', 'mixed'])
    """

    EMPTY = "empty"
    """Nobody may attend, or the block has no cells."""
    FULL = "full"
    """Every query may attend to every key."""
    MIXED = "mixed"
    """Some may and some may not."""


def kind_of(cells: Bool[Tensor, "*cells"]) -> TileKind:
    """Return the kind of a block that is written out."""
    numbers = cells.view(torch.uint8)  # any() and all() of booleans take thirty times as long
    if not numbers.amax():
        return TileKind.EMPTY
    return TileKind.FULL if numbers.amin() else TileKind.MIXED


def block_range(wanted: slice, size: int, axis: str, caller: str) -> range:
    """Return the positions a slice names among `size`: negative ones count from the end, the stop is clamped.

    A start after the last position is refused, because an empty answer would be taken for a mask that hides.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: no slice of whole numbers, a step, or a start past the end.
    """
    if isinstance(wanted, slice) and type(wanted.start) is type(wanted.stop) is int and wanted.step is None:
        if 0 <= wanted.start <= wanted.stop <= size and (wanted.start < size or not size):
            return range(wanted.start, wanted.stop)  # nothing to count or to refuse; kernels ask thousands of times
    if not isinstance(wanted, slice) or not all(
        part is None or hasattr(part, "__index__") for part in (wanted.start, wanted.stop, wanted.step)
    ):
        raise ArgumentTypeError(f"{caller}: {axis} is {reprlib.repr(wanted)}, expected a slice such as slice(0, 64).")
    if wanted.step not in (None, 1):
        raise OptionError(f"{caller}: {axis} is {wanted!r}, expected a slice without a step.")
    if size <= (wanted.start or 0) != 0 and (wanted.stop is None or wanted.stop > wanted.start):
        count = "n_q" if axis == "rows" else "n_k"
        hint = " One row for every query is broadcast with mask.broadcast_to(shape)." if axis == "rows" else ""
        raise ShapeError(f"{caller}: {axis} is {wanted!r}, which starts past the end: {count} is {size}.{hint}")
    start, stop, _ = wanted.indices(size)
    return range(start, max(start, stop))
