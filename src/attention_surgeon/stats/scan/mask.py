"""Blocks of any mask for one head: nothing, everything, or who may attend and what is added."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.compiled.cells import runs_of_cells
from attention_surgeon.errors import ArgumentTypeError, DeviceError
from attention_surgeon.masks import Mask, TileKind
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.masks.read import read_additive, read_yes_no
from attention_surgeon.masks.spans import Spans
from attention_surgeon.require import kind_of, require_mask_shape

_BLOCKS_ASKED = 8


@final
@dataclass(frozen=True)
class Block:
    """What a mask says of some rows and a run of keys.

    Attributes:
        kind: Whether anybody may attend.
        allowed: Boolean `(r, c)`, for a mixed block.
        bias: `(r, c)`, what is added to the scores, finite.
    """

    kind: TileKind
    allowed: Tensor | None = None
    bias: Tensor | None = None


@final
@dataclass(frozen=True, eq=False)
class ScanMask:
    """A mask as a scan reads it: block by block, for one place of the leading axes.

    Attributes:
        mask: A lazy mask, or a boolean or floating tensor, of the scores' shape; None: everybody sees everything.
        largest_bias: The largest size of what a floating mask adds.
    """

    mask: Mask | Tensor | None
    largest_bias: float = 0.0

    def at(self, place: tuple[int, ...]) -> "HeadMask":
        """Return the mask of one head."""
        return HeadMask(self.mask, place)


@final
@dataclass(frozen=True, eq=False)
class HeadMask:
    """The mask of one head; `place` is where the head stands in the leading axes."""

    mask: Mask | Tensor | None
    place: tuple[int, ...]

    def block(self, runs: Sequence[range], start: int, stop: int, device: torch.device) -> Block:
        """Return what the mask says of the rows in `runs` and of the keys from `start` up to `stop`."""
        if self.mask is None:
            return Block(TileKind.FULL)
        if isinstance(self.mask, Mask):
            span, columns = slice(runs[0].start, runs[-1].stop), slice(start, stop)
            kind = self.mask.kind(span, columns)
            if kind is not TileKind.MIXED:
                return Block(kind)
            return _of_cells(torch.cat([self._cells(self.mask, run, columns, device) for run in runs]))
        rows = self.mask[self.place]
        cells = torch.cat([rows[run.start : run.stop, start:stop] for run in runs])
        if cells.dtype == torch.bool:
            return _of_cells(cells)
        return _of_added(cells)

    def spans(self, num_queries: int, num_keys: int) -> Spans | None:
        """Return for each query the run of keys that it sees, `(n_q,)` each; None where it is not one run.

        Raises:
            NotThere: the library, which looks through a tensor, is not there.
        """
        if self.mask is None:
            return Spans(torch.zeros(num_queries, dtype=torch.int64), torch.full((num_queries,), num_keys))
        if isinstance(self.mask, Tensor):
            runs = runs_of_cells(self.mask[self.place]) if self.mask.dtype == torch.bool else None
            return None if runs is None else Spans(*runs)
        spans = self.mask.spans()
        return None if spans is None else Spans(*(x[self.place].expand(num_queries) for x in spans))

    def share_seen(self, runs: Sequence[range], num_keys: int, device: torch.device) -> float:
        """Return about which share of the keys these rows see, from a few blocks."""
        step = max(-(-num_keys // _BLOCKS_ASKED), 1)
        kinds = [
            self.block(runs, start, min(start + step, num_keys), device).kind for start in range(0, num_keys, step)
        ]
        return sum({TileKind.EMPTY: 0.0, TileKind.MIXED: 0.5, TileKind.FULL: 1.0}[kind] for kind in kinds) / len(kinds)

    def _cells(self, mask: Mask, run: range, columns: slice, device: torch.device) -> Tensor:
        return mask.tile(slice(run.start, run.stop), columns, device)[self.place]


def read_mask(mask: MaskLike | None, shape: tuple[int, ...], device: torch.device, caller: str) -> ScanMask:
    """Check a mask for scores of `shape` `(*leading, n_q, n_k)` and return it in the form that a scan reads.

    Raises:
        ArgumentTypeError, DeviceError, ShapeError, MaskError: no mask, one that does not fit, or one in doubt.
    """
    if mask is None:
        return ScanMask(None)
    if isinstance(mask, Mask):
        require_mask_shape(mask.shape, shape, caller)
        return ScanMask(mask.broadcast_to(shape))
    if not isinstance(mask, Tensor):
        raise ArgumentTypeError(
            f"{caller}: mask is {kind_of(mask)}, expected a torch.Tensor, a mask of attention_surgeon.masks or None; "
            f"wrap arrays in torch.as_tensor(...)."
        )
    if mask.device != device:
        raise DeviceError(f"{caller}: mask is on {mask.device} and query on {device}; move it with mask.to(...).")
    require_mask_shape(mask.shape, shape, caller)
    if not mask.is_floating_point():
        return ScanMask(read_yes_no(mask, caller).expand(shape))
    allowed = read_additive(mask, caller)
    largest = mask.masked_fill(~allowed, 0.0).abs().max().item() if mask.numel() else 0.0
    return ScanMask(mask.expand(shape), largest)


def _of_cells(cells: Tensor) -> Block:
    if bool(cells.all()):
        return Block(TileKind.FULL)
    return Block(TileKind.MIXED, cells) if bool(cells.any()) else Block(TileKind.EMPTY)


def _of_added(cells: Tensor) -> Block:
    """Read a block of a floating mask, which was checked as a whole."""
    allowed = cells > max(torch.finfo(cells.dtype).min, torch.finfo(torch.bfloat16).min)
    block = _of_cells(allowed)
    if block.kind is TileKind.EMPTY:
        return block
    return Block(block.kind, block.allowed, cells.masked_fill(~allowed, 0.0))
