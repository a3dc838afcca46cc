"""Which keys a block of queries may attend to, as tiles: nothing of n_q x n_k cells is ever made.

A mask is asked for the kind of a block before anything is computed. Empty blocks are left out, full ones need no mask,
and only in mixed ones are numbers added to the scores: 0 where a query may attend, `-inf` where it may not, and what a
floating mask adds, in units of log 2 like the scores (`problem.py`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from typing import TypeGuard, final

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from attention_surgeon.masks import Mask, TileKind
from attention_surgeon.masks.blocks import kind_of
from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.masks.read import read_additive, read_dense, read_yes_no
from attention_surgeon.masks.spans import Spans
from attention_surgeon.require import require_mask_shape

LOG2_E = 1 / math.log(2)
_ONE = slice(0, 1)
_LARGE = 256.0
"""Numbers that a mask adds beyond which scores are float64, and the change of unit must not round to float32 first."""


class Visible(ABC):
    """Who may attend to whom, block by block.

    Attributes:
        shape: `(*batch, n_q, n_k)`; an axis of 1 stands for any number.
        limit: The largest absolute number that is added to a score that is not hidden.
        grains: In blocks of how many keys the mask is asked, coarse first.
    """

    shape: tuple[int, ...]
    limit: float = 0.0
    grains: tuple[int, ...]

    @abstractmethod
    def kind(self, rows: slice, columns: slice) -> TileKind:
        """Return what a block surely holds, over the whole batch; `MIXED` where only its cells would tell."""

    @abstractmethod
    def cells(self, rows: slice, columns: slice) -> Tensor:
        """Return a block as the mask has it, `(*batch, r, c)`."""

    def pattern(self, rows: slice, columns: slice) -> Hashable:
        """Return what blocks with the same cells have in common; None: they may all differ."""
        return None

    def spans(self) -> Spans | None:
        """Return for each query the one run of keys that it sees, as `Mask.spans`; None where it is not known."""
        return None

    def written_out(self) -> Tensor | None:
        """Return all cells, `(*batch, n_q or 1, n_k)`, one byte each, where somebody else has written them out."""
        return None

    def kind_of_cells(self, cells: Tensor) -> TileKind:
        """Return what a part of `cells` holds."""
        return kind_of(cells)

    def added(self, cells: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the numbers that a part of `cells` adds to the scores."""
        return torch.threshold_(cells.to(dtype).sub_(1), -0.5, -math.inf)  # 30 times as fast as filling by a mask

    def rows_of(self, rows: slice) -> slice:
        """Return the rows of the mask that speak for these queries."""
        return _ONE if self.shape[-2] == 1 else rows

    def columns_of(self, columns: slice) -> slice:
        """Return the columns of the mask that speak for these keys."""
        return _ONE if self.shape[-1] == 1 else columns


@final
class VisibleByMask(Visible):
    """A mask of `attention_surgeon.masks`, which knows its blocks."""

    grains = (4096, 512, 128)

    def __init__(self, mask: Mask, device: torch.device) -> None:
        """Keep the mask, and where its blocks are to be made."""
        self.shape = mask.shape
        self._mask, self._device = mask, device

    def kind(self, rows: slice, columns: slice) -> TileKind:
        """Ask the mask."""
        return self._mask.bound(self.rows_of(rows), self.columns_of(columns))

    def pattern(self, rows: slice, columns: slice) -> Hashable:
        """Ask the mask."""
        return self._mask.pattern(self.rows_of(rows), self.columns_of(columns))

    def spans(self) -> Spans | None:
        """Ask the mask."""
        return self._mask.spans()

    def cells(self, rows: slice, columns: slice) -> Tensor:
        """Have the mask write the block out."""
        return self._mask.tile(self.rows_of(rows), self.columns_of(columns), self._device)


class VisibleByTensor(Visible, ABC):
    """A tensor `(*batch, n_q, n_k)`, of which only views are taken."""

    grains = (512,)

    def __init__(self, mask: Tensor) -> None:
        """Keep a view of the mask."""
        self._mask = mask.detach()
        self.shape = tuple(mask.shape)

    def kind(self, rows: slice, columns: slice) -> TileKind:
        """Look at the block."""
        return self.kind_of_cells(self.cells(rows, columns))

    def cells(self, rows: slice, columns: slice) -> Tensor:
        """Return a view."""
        return self._mask[..., self.rows_of(rows), self.columns_of(columns)]


@final
class VisibleByYesNo(VisibleByTensor):
    """A boolean or 0/1 integer tensor, True = may attend."""

    def __init__(self, mask: Tensor, caller: str) -> None:
        """Refuse integers other than 0 and 1."""
        if mask.dtype != torch.bool and mask.numel():
            least, most = (int(x) for x in torch.aminmax(mask)) if not mask.is_complex() else (-1, -1)
            if least < 0 or most > 1:
                read_yes_no(mask, caller)  # refuses it
        super().__init__(mask.view(torch.uint8) if mask.dtype == torch.bool else mask)

    def written_out(self) -> Tensor | None:
        """Return the mask where its cells are bytes."""
        return self._mask if self._mask.dtype == torch.uint8 else None

    def kind_of_cells(self, cells: Tensor) -> TileKind:
        """Compare the least and the largest entry."""
        if not cells.amax():
            return TileKind.EMPTY
        return TileKind.FULL if cells.amin() else TileKind.MIXED


@final
class VisibleByAdding(VisibleByTensor):
    """A floating tensor that is added to the scores; `-inf` and the lowest numbers hide."""

    def __init__(self, mask: Tensor, caller: str, otherwise: str) -> None:
        """Refuse NaN, +inf and nothing but 0s and 1s, and find the largest number."""
        super().__init__(mask)
        self._floor = max(torch.finfo(mask.dtype).min, torch.finfo(torch.bfloat16).min)
        least, most = (float(x) for x in torch.aminmax(self._mask)) if self._mask.numel() else (0.0, 0.0)
        if math.isnan(least) or most == math.inf or (most == 1 and least >= 0):
            read_additive(mask, caller, otherwise)  # refuses all of these but 1 among numbers between 0 and 1
        self.limit = self._largest(least, most) * LOG2_E

    def _largest(self, least: float, most: float) -> float:
        if least > self._floor:
            return max(abs(least), abs(most))
        seen = 0.0
        for row in self._mask.unbind(-2):  # row by row, so that no second tensor of this size is made
            kept = row.masked_fill(row <= self._floor, 0.0)
            seen = max(seen, float(kept.abs().amax()))
        return seen

    def kind_of_cells(self, cells: Tensor) -> TileKind:
        """Full is a block that adds 0 throughout."""
        least, most = torch.aminmax(cells)
        if most <= self._floor:
            return TileKind.EMPTY
        return TileKind.FULL if least == most == 0 else TileKind.MIXED

    def added(self, cells: Tensor, dtype: torch.dtype) -> Tensor:
        """Change the unit, and hide what hides."""
        wide = torch.float64 if self.limit > _LARGE else dtype
        return torch.threshold(cells, self._floor, -math.inf).to(wide) * LOG2_E


def check_mask(
    mask: MaskLike | None, scores_shape: tuple[int, ...], device: torch.device, caller: str
) -> Mask | Tensor | None:
    """Return a mask whose kind, device and shape are right; of a tensor a view of two axes or more, as small as can be.

    Raises:
        ArgumentTypeError, DeviceError, MaskError, ShapeError: as `ops.attention`.
    """
    mask = known_mask(mask, caller)
    if mask is None:
        return None
    if isinstance(mask, Mask):
        require_mask_shape(mask.shape, scores_shape, caller)
        return mask
    mask = read_dense(mask, device, caller)
    require_mask_shape(mask.shape, scores_shape, caller)
    mask = mask.reshape((1,) * (2 - mask.ndim) + tuple(mask.shape))
    # An axis that was expanded repeats itself: looking at it once is enough, unless each entry gets a gradient.
    if not mask.numel() or may_want_gradient(mask):
        return mask
    return mask[tuple(slice(None) if stride else _ONE for stride in mask.stride())]


def visible_of(mask: Mask | Tensor | None, device: torch.device, caller: str) -> Visible | None:
    """Return what `check_mask` returned as tiles; nothing is written out but what only comes written out.

    Raises:
        MaskError: numbers that mean nothing, or that are in doubt.
    """
    if mask is None:
        return None
    if isinstance(mask, Mask):
        return VisibleByMask(mask, device)
    if mask.is_floating_point():
        return VisibleByAdding(mask, caller, "; if it really is to be added, use Mechanism(mask=add_to_scores(mask))")
    return VisibleByYesNo(mask, caller)


def wants_gradient(mask: MaskLike | None) -> TypeGuard[Tensor]:
    """Say whether a mask is a floating tensor whose gradient is asked for."""
    return isinstance(mask, Tensor) and mask.is_floating_point() and mask.requires_grad


def may_want_gradient(mask: Tensor) -> bool:
    """Say whether a gradient of a mask may be asked for; `torch.func` does not say so beforehand."""
    return mask.is_floating_point() and (mask.requires_grad or is_functorch_wrapped_tensor(mask))


def runs_of_keys(visible: Visible | None, rows: slice, num_keys: int, width: int) -> Iterator[tuple[slice, bool]]:
    """Yield the keys that a block of queries may see, in runs of at most `width`, and whether all see all of them.

    What is full and what is mixed lie in one run if they fit: adding zeros costs less than another tile.

    Args:
        visible: The mask, None: everybody sees everything.
        rows: The queries.
        num_keys: n_k.
        width: The longest run.
    """
    start = stop = 0
    is_full = True
    for first, last, full in _blocks(visible, rows, num_keys, width):
        if first == stop and last - start <= width:
            stop, is_full = last, is_full and full
            continue
        if stop > start:
            yield slice(start, stop), is_full
        start, stop, is_full = first, last, full
    if stop > start:
        yield slice(start, stop), is_full


def _blocks(visible: Visible | None, rows: slice, num_keys: int, width: int) -> Iterator[tuple[int, int, bool]]:
    """Yield blocks that are not empty, none wider than `width`."""
    if visible is None:
        yield from _cut(0, num_keys, width)
        return
    pending = [(0, num_keys, -1)]
    while pending:
        first, last, level = pending.pop()
        kind = TileKind.MIXED if level < 0 else visible.kind(rows, slice(first, last))
        if kind is TileKind.FULL:
            yield from _cut(first, last, width)
        elif kind is TileKind.MIXED and level + 1 < len(visible.grains):
            step = visible.grains[level + 1]
            finer = [(at, min(at + step, last), level + 1) for at in range(first, last, step)]
            pending += reversed(finer)
        elif kind is TileKind.MIXED:
            for start in range(first, last, width):
                yield start, min(start + width, last), False


def _cut(first: int, last: int, width: int) -> Iterator[tuple[int, int, bool]]:
    for start in range(first, last, width):
        yield start, min(start + width, last), True
