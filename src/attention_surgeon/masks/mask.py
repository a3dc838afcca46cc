"""A mask, and what becomes of masks under `&`, `|`, `~`: one file, because each is made from the other.

A `Mask` is not a tensor of n_q x n_k cells but the rule behind them. It writes out the block one asks for and says
of a block, mostly without looking, whether anything in it may attend.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch
from jaxtyping import Bool
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, MaskError
from attention_surgeon.masks.blocks import WHOLE, TileKind, block_range, kind_of
from attention_surgeon.masks.draw import draw_cells
from attention_surgeon.masks.read import read_cells
from attention_surgeon.masks.shapes import check_broadcast, joint_shape
from attention_surgeon.masks.spans import Spans

Device: TypeAlias = torch.device | str


@dataclass(frozen=True, eq=False, repr=False)
class Mask(ABC):
    """Who may attend to whom: True = may attend. Made by the `<what>_mask` functions, immutable.

    `a & b` allows what both allow, `a | b` what either allows, `~a` what `a` hides; a boolean tensor may stand on
    either side. Batch axes broadcast, n_k must agree, and so must n_q, except that a mask which is the same for
    every query (padding) fits any n_q. `a and b` is an error: Python would silently return `b`.

    Two masks are equal (and hash alike) when they are written alike: same form, same numbers. Whether two masks
    that are written differently hide the same cells, `torch.equal(a.dense(), b.dense())` tells.

    >>> from attention_surgeon.masks import causal_mask, padding_mask
    >>> mask = causal_mask(1_000_000) & padding_mask([900_000], n_k=1_000_000)
    >>> mask
    <mask (1, 1000000, 1000000): (k - q <= 0) & (kept keys)>
    >>> mask.kind(slice(0, 64), slice(64, 128))
    <TileKind.EMPTY: 'empty'>
    >>> print(mask.draw(slice(0, 3), slice(0, 3)))
    [0]
    x..
    xx.
    xxx
    """

    # numpy would try `array & mask` cell by cell; this makes it hand the operator to the mask instead.
    __array_ufunc__ = None

    shape: tuple[int, ...]
    """`(*batch, n_q, n_k)`."""

    @abstractmethod
    def _rule(self) -> str:
        """Say in a few words which cells may attend; q and k are positions."""

    @abstractmethod
    def _ignores_queries(self) -> bool:
        """Say whether the one row of this mask speaks for every query, however many there are."""

    @abstractmethod
    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        """Write the block out as boolean `(*batch, r, c)`, in memory of its own or as an expanded view."""

    @abstractmethod
    def _kind(self, rows: range, columns: range) -> TileKind:
        """Return the kind of a block that has at least one cell."""

    def _bound(self, rows: range, columns: range) -> TileKind:
        """Return the kind of a block where that is known without its cells, else `MIXED`."""
        return self._kind(rows, columns)

    def _spans(self) -> Spans | None:
        """As `spans`; None unless a form knows better."""
        return None

    def _pattern(self, rows: range, columns: range) -> Hashable:
        """Return what the cells of a block follow from, None where nothing short of them says it."""
        return None

    def tile(self, rows: slice, columns: slice, device: Device = "cpu") -> Bool[Tensor, "*batch r c"]:
        """Write out one block; nothing outside of it is computed.

        Args:
            rows: Query positions, as one would slice a tensor (without a step).
            columns: Key positions.
            device: Where the block is made.

        Returns:
            A new boolean tensor `(*batch, r, c)`, True = may attend.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: no slice, a step, or a start after the last position.

        >>> from attention_surgeon.masks import causal_mask
        >>> causal_mask(5).tile(slice(2, 4), slice(2, 5))
        tensor([[ True, False, False],
                [ True,  True, False]])
        """
        return self._tile(*self._block(rows, columns, "tile"), device).contiguous()

    def kind(self, rows: slice, columns: slice) -> TileKind:
        """Say what a block holds, over the whole batch: nothing, everything, or some of both. Exact.

        Blocks are named, and wrong ones refused, as by `tile`.

        >>> from attention_surgeon.masks import causal_mask
        >>> [str(causal_mask(6).kind(slice(2, 4), slice(k, k + 2))) for k in (0, 2, 4)]
        ['full', 'mixed', 'empty']
        """
        block = self._block(rows, columns, "kind")
        if 0 in self.shape[:-2] or not all(block):
            return TileKind.EMPTY
        return self._kind(*block)

    def bound(self, rows: slice, columns: slice) -> TileKind:
        """Say what a block surely holds, at less cost than `kind`: what would take its cells to know is `MIXED`.

        Blocks are named, and wrong ones refused, as by `tile`.

        >>> from attention_surgeon.masks import causal_mask
        >>> mask = causal_mask(4) & ~causal_mask(4)
        >>> str(mask.kind(slice(0, 4), slice(0, 4))), str(mask.bound(slice(0, 4), slice(0, 4)))
        ('empty', 'mixed')
        """
        block = self._block(rows, columns, "bound")
        if 0 in self.shape[:-2] or not all(block):
            return TileKind.EMPTY
        return self._bound(*block)

    def pattern(self, rows: slice, columns: slice) -> Hashable:
        """Return what the cells of a block follow from: blocks of one pattern hold the same cells.

        Whoever needs many blocks writes each pattern out once. Blocks are named, and wrong ones refused, as by `tile`.

        Returns:
            Something to compare; None where this form of mask cannot say, which holds for all but bands, whose pattern
            follows from where the block lies beside the diagonal and from nothing else.

        >>> from attention_surgeon.masks import window_mask
        >>> mask = window_mask(1000, size=10)
        >>> mask.pattern(slice(0, 64), slice(0, 128)) == mask.pattern(slice(640, 704), slice(640, 768))
        True
        """
        return self._pattern(*self._block(rows, columns, "pattern"))

    def spans(self) -> Spans | None:
        """Return for each query the one run of keys that it sees; None where there are several, or nobody can say.

        Returns:
            The first key and the one behind the last, int64 `(*batch, n_q)`, or `(*batch, 1)` where they are the same
            for every query; both are equal for a query that sees none.

        >>> from attention_surgeon.masks import causal_mask, window_mask
        >>> window_mask(4, size=2).spans()
        Spans(start=tensor([0, 0, 1, 2]), stop=tensor([1, 2, 3, 4]))
        >>> (causal_mask(4) & ~window_mask(4, size=2)).spans() is None
        True
        """
        return None if 0 in self.shape else self._spans()

    def dense(self, device: Device = "cpu") -> Bool[Tensor, "*batch q k"]:
        """Write the whole mask out, n_q x n_k cells for each of the batch; True = may attend."""
        n_q, n_k = self.shape[-2:]
        return self._tile(range(n_q), range(n_k), device).contiguous()

    def draw(self, rows: slice = WHOLE, columns: slice = WHOLE) -> str:
        """Draw the mask, or a block of it: `x` may attend, `.` is hidden, one line per query.

        Blocks are named, and wrong ones refused, as by `tile`.
        """
        return draw_cells(self._tile(*self._block(rows, columns, "draw"), "cpu"))

    def broadcast_to(self, shape: tuple[int, ...]) -> "Mask":
        """Return the same mask for scores of `shape` `(*batch, n_q, n_k)`, without writing it out.

        Raises:
            ArgumentTypeError, ShapeError: no tuple of sizes, or the mask does not fit.

        >>> from attention_surgeon.masks import padding_mask
        >>> padding_mask([1, 2]).with_heads().broadcast_to((2, 8, 5, 2)).shape
        (2, 8, 5, 2)
        """
        shape = check_broadcast(self.shape, self._ignores_queries(), shape)
        return self if shape == self.shape else ViewMask(shape, self, self.shape[:-2])

    def with_heads(self) -> "Mask":
        """Return the mask with an axis for the heads: `(*batch, n_q, n_k)` becomes `(*batch, 1, n_q, n_k)`.

        A batched mask needs it before it meets scores `(batch, heads, n_q, n_k)`: axes are compared from the
        right, so its batch axis would otherwise be taken for the heads.
        """
        *batch, n_q, n_k = self.shape
        return ViewMask((*batch, 1, n_q, n_k), self, (*batch, 1))

    def __and__(self, other: "Mask | Tensor") -> "Mask":
        """Allow what both allow."""
        return _pair(self, "&", other)

    def __or__(self, other: "Mask | Tensor") -> "Mask":
        """Allow what either allows."""
        return _pair(self, "|", other)

    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> "Mask":
        """Allow what this mask hides."""
        return self.inner if isinstance(self, NotMask) else NotMask(self.shape, self)

    def __bool__(self) -> bool:
        """Refuse: `a and b` would silently drop `a`, and `not a` would not turn it around."""
        raise MaskError(
            "a mask is neither true nor false: combine masks with & | ~ instead of and, or, not; "
            "to ask whether there is one, write mask is not None."
        )

    def __eq__(self, other: object) -> bool:
        """Compare form and numbers, not cells."""
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self))

    def __hash__(self) -> int:
        """Agree with `==`; masks that differ only in the contents of a tensor collide, which is allowed."""
        return hash((type(self), self.shape, self._rule()))

    def __repr__(self) -> str:
        """Show shape and rule; never the cells."""
        return f"<mask {self.shape}: {self._rule()}>"

    def _block(self, rows: slice, columns: slice, caller: str) -> tuple[range, range]:
        n_q, n_k = self.shape[-2:]
        return block_range(rows, n_q, "rows", caller), block_range(columns, n_k, "columns", caller)


@final
@dataclass(frozen=True, eq=False, repr=False)
class TensorMask(Mask):
    """The cells as they were given, boolean `(*batch, n_q, n_k)`; a single row speaks for every query."""

    cells: Tensor

    def _rule(self) -> str:
        return "given cells"

    def _ignores_queries(self) -> bool:
        return self.shape[-2] == 1

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        block = self.cells[..., rows.start : rows.stop, columns.start : columns.stop]
        return block.to(device, copy=True)

    def _kind(self, rows: range, columns: range) -> TileKind:
        return kind_of(self.cells[..., rows.start : rows.stop, columns.start : columns.stop])


@final
@dataclass(frozen=True, eq=False, repr=False)
class PairMask(Mask):
    """What both allow (`&`) or what either allows (`|`); `left` and `right` have this mask's shape."""

    left: Mask
    symbol: Literal["&", "|"]
    right: Mask

    def _rule(self) -> str:
        return f"({self.left._rule()}) {self.symbol} ({self.right._rule()})"

    def _ignores_queries(self) -> bool:
        return self.left._ignores_queries() and self.right._ignores_queries()

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        left, right = (mask._tile(rows, columns, device) for mask in (self.left, self.right))
        return left & right if self.symbol == "&" else left | right

    def _kind(self, rows: range, columns: range) -> TileKind:
        left = self.left._kind(rows, columns)
        if left is self._decides:
            return left
        right = self.right._kind(rows, columns)
        if left is right is TileKind.MIXED:
            return kind_of(self._tile(rows, columns, "cpu"))
        return self._joined(left, right)

    def _bound(self, rows: range, columns: range) -> TileKind:
        return self._joined(self.left._bound(rows, columns), self.right._bound(rows, columns))

    def _joined(self, left: TileKind, right: TileKind) -> TileKind:
        if self._decides in (left, right):
            return self._decides
        return right if left is not TileKind.MIXED else left

    def _spans(self) -> Spans | None:
        left, right = self.left._spans(), self.right._spans()
        if left is None or right is None:
            return None
        return left.common(right) if self.symbol == "&" else left.joined(right)

    @property
    def _decides(self) -> TileKind:
        """What of one side makes it that of both."""
        return TileKind.EMPTY if self.symbol == "&" else TileKind.FULL


@final
@dataclass(frozen=True, eq=False, repr=False)
class NotMask(Mask):
    """What `inner` hides."""

    inner: Mask

    def _rule(self) -> str:
        return f"~({self.inner._rule()})"

    def _ignores_queries(self) -> bool:
        return self.inner._ignores_queries()

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        return ~self.inner._tile(rows, columns, device)

    def _kind(self, rows: range, columns: range) -> TileKind:
        return _OPPOSITE[self.inner._kind(rows, columns)]

    def _bound(self, rows: range, columns: range) -> TileKind:
        return _OPPOSITE[self.inner._bound(rows, columns)]

    def _spans(self) -> Spans | None:
        inner = self.inner._spans()
        return None if inner is None else inner.rest(self.shape[-1])


_OPPOSITE = {TileKind.EMPTY: TileKind.FULL, TileKind.FULL: TileKind.EMPTY, TileKind.MIXED: TileKind.MIXED}


@final
@dataclass(frozen=True, eq=False, repr=False)
class ViewMask(Mask):
    """The cells of `inner` under other batch axes: `batch` is how its own are read, `shape` what they broadcast to."""

    inner: Mask
    batch: tuple[int, ...]

    def _rule(self) -> str:
        return self.inner._rule()

    def _ignores_queries(self) -> bool:
        return self.shape[-2] == 1 and self.inner._ignores_queries()

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        block = self.inner._tile(self._inner_rows(rows), columns, device)
        block = block.reshape(*self.batch, *block.shape[-2:])
        return block.expand(*self.shape[:-2], len(rows), len(columns))

    def _kind(self, rows: range, columns: range) -> TileKind:
        return self.inner._kind(self._inner_rows(rows), columns)

    def _bound(self, rows: range, columns: range) -> TileKind:
        return self.inner._bound(self._inner_rows(rows), columns)

    def _spans(self) -> Spans | None:
        inner = self.inner._spans()
        if inner is None:
            return None
        return Spans(*(x.reshape(*self.batch, -1).expand(*self.shape[:-2], -1) for x in inner))

    def _inner_rows(self, rows: range) -> range:
        return rows if self.inner.shape[-2] == self.shape[-2] else range(1)


def _pair(left: Mask, symbol: Literal["&", "|"], other: Mask | Tensor) -> Mask:
    right = _as_mask(other, symbol)
    shape = joint_shape(left.shape, right.shape, left._ignores_queries(), right._ignores_queries(), symbol)
    return PairMask(shape, left.broadcast_to(shape), symbol, right.broadcast_to(shape))


def _as_mask(other: Mask | Tensor, symbol: str) -> Mask:
    if isinstance(other, Mask):
        return other
    if isinstance(other, Tensor):
        cells = read_cells(other, f"mask {symbol} tensor")
        return TensorMask(tuple(cells.shape), cells)
    raise ArgumentTypeError(
        f"mask {symbol} {type(other).__name__}: a mask is combined with another mask or a boolean torch.Tensor."
    )


def _same(mine: object, other: object) -> bool:
    if isinstance(mine, Tensor) and isinstance(other, Tensor):
        return mine.shape == other.shape and mine.dtype == other.dtype and torch.equal(mine.cpu(), other.cpu())
    return mine == other
