"""The door of a scan: query, key, value and mask checked, and cut into heads."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import final

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, NonFiniteError, OptionError, ShapeError
from attention_surgeon.kernels.problem import all_finite
from attention_surgeon.masks import TileKind
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.ops import working_dtype
from attention_surgeon.require import kind_of, require_operands
from attention_surgeon.stats.row_sums import Repeats
from attention_surgeon.stats.scan.mask import HeadMask, ScanMask, read_mask
from attention_surgeon.stats.scan.plan import ScanHead
from attention_surgeon.stats.scan.repeats import RepeatIndex


@final
@dataclass(frozen=True, eq=False)
class ScanOperands:
    """What is scanned, checked.

    Attributes:
        query: `(*leading, n_q, d)`.
        key: `(*leading, n_k, d)`; an axis may be 1, and the last of `leading` may be a divisor of the query's.
        value: `(*leading, n_k, d_v)`, likewise; None: not given.
        mask: Who may attend to whom.
        scale: What scores are multiplied by.
    """

    query: Tensor
    key: Tensor
    value: Tensor | None
    mask: ScanMask
    scale: float

    @property
    def leading(self) -> tuple[int, ...]:
        """The axes before the last two: `(*batch, heads)`."""
        return tuple(self.query.shape[:-2])

    @property
    def scores_shape(self) -> tuple[int, ...]:
        """`(*leading, n_q, n_k)`."""
        return (*self.query.shape[:-1], self.key.shape[-2])

    def heads(self, repeats: Repeats | None) -> Iterator[ScanHead]:
        """Yield each head, in order of `leading`.

        Raises:
            NonFiniteError: a number that is none, where somebody sees it.
        """
        for place in product(*map(range, self.leading)):
            query, mask = self.query[place], self.mask.at(place)
            key = self.key[self._own_place(self.key, place)]
            value = None if self.value is None else self.value[self._own_place(self.value, place)]
            query, key, value = _finite(query, key, value, mask, place)
            index = None
            if repeats is not None:
                index = RepeatIndex.of(repeats, place, key.shape[-2], key.device)
            yield ScanHead(query, key, value, mask, self.scale, self.mask.largest_bias, index)

    def _own_place(self, tensor: Tensor, place: tuple[int, ...]) -> tuple[int, ...]:
        """Return where the key or value of a head stands: shared heads serve neighbouring query heads."""
        sizes = zip(place, tensor.shape[:-2], self.leading, strict=True)
        return tuple(i * own // all_of_them for i, own, all_of_them in sizes)


def check_operands(
    query: Tensor, key: Tensor, value: Tensor | None, mask: MaskLike | None, scale: float | int | None, caller: str
) -> ScanOperands:
    """Return the operands of a scan, checked.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, OptionError: each says what was given, what
            was expected and the way out.
    """
    checked_value = key if value is None else value
    shared = "the heads of key and value may be fewer, if they divide those of query"
    require_operands(query, _one_head(query, key), _one_head(query, checked_value), caller, shared)
    working_dtype(query.dtype, query.device)
    if not query.numel() or not key.numel():
        raise ShapeError(
            f"{caller}: query has shape {tuple(query.shape)} and key {tuple(key.shape)}; none of the sizes may be 0."
        )
    for name, tensor in (("key", key), ("value", checked_value)):
        _check_leading(query, tensor, name, caller)
    shape = (*query.shape[:-1], key.shape[-2])
    return ScanOperands(
        query.detach(),
        key.detach(),
        None if value is None else value.detach(),
        read_mask(mask, shape, query.device, caller),
        _checked_scale(scale, query.shape[-1], caller),
    )


def _one_head(query: Tensor, tensor: Tensor) -> Tensor:
    """Return key or value with one of its heads, where they can be shared out: only the rest is compared."""
    if not isinstance(query, Tensor) or not isinstance(tensor, Tensor) or min(query.ndim, tensor.ndim) < 3:
        return tensor
    own = tensor.shape[-3]
    return tensor.narrow(-3, 0, 1) if own and query.shape[-3] % own == 0 else tensor


def _check_leading(query: Tensor, tensor: Tensor, name: str, caller: str) -> None:
    own, all_of_them = tensor.shape[:-2], query.shape[:-2]
    fits = len(own) == len(all_of_them) and all(a in (1, b) for a, b in zip(own[:-1], all_of_them[:-1], strict=True))
    if not fits or (own and all_of_them[-1] % own[-1]):
        raise ShapeError(
            f"{caller}: query has shape {tuple(query.shape)} and {name} {tuple(tensor.shape)}; the axes before the "
            f"last two must be the same, or 1, or for heads a divisor of the query's."
        )


def _checked_scale(scale: float | int | None, key_size: int, caller: str) -> float:
    if scale is None:
        return 1 / math.sqrt(key_size)
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise ArgumentTypeError(f"{caller}: scale is {kind_of(scale)}, expected a number, or None for 1/√d.")
    if not math.isfinite(scale):
        raise OptionError(f"{caller}: scale is {scale}, expected a finite number, or None for 1/√d.")
    return float(scale)


def _finite(
    query: Tensor, key: Tensor, value: Tensor | None, mask: HeadMask, place: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the operands with 0 for what is NaN or infinite and seen by nobody.

    Raises:
        NonFiniteError: somebody sees it.
    """
    num_queries, num_keys = query.shape[-2], key.shape[-2]
    given = {"query": query, "key": key} | ({} if value is None else {"value": value})
    for name, tensor in list(given.items()):
        if all_finite(tensor):
            continue
        wrong = ~tensor.isfinite().all(-1)
        for run in _runs(wrong):
            rows, keys = (run, range(num_keys)) if name == "query" else (range(num_queries), run)
            if mask.block((rows,), keys.start, keys.stop, query.device).kind is not TileKind.EMPTY:
                raise NonFiniteError(
                    f"scan_attention: {name} holds NaN or infinity at {[*place, run.start]}, and the mask lets it be "
                    f"seen; hide that position, or pass finite numbers."
                )
        given[name] = tensor.masked_fill(~tensor.isfinite(), 0.0)
    return given["query"], given["key"], given.get("value")


def _runs(marked: Tensor) -> Iterator[range]:
    """Yield the runs of neighbours that are marked."""
    edges = torch.nn.functional.pad(marked.int(), (1, 1)).diff().nonzero()[:, 0].tolist()
    for (start, stop), turn in zip(pairwise(edges), range(len(edges)), strict=False):
        if turn % 2 == 0:
            yield range(start, stop)
