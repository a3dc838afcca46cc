"""The forms a mask takes: a band along the diagonal, a prefix, keys to keep, documents. All are exact about blocks."""

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.masks.blocks import TileKind, kind_of
from attention_surgeon.masks.mask import Device, Mask
from attention_surgeon.masks.spans import Spans, spans_of_rows


@final
@dataclass(frozen=True, eq=False, repr=False)
class BandMask(Mask):
    """`lowest <= k - q <= highest`, where q and k count from the first query and key; None: no bound on that side.

    Causal masks, reverse masks and windows are bands; an alignment is a shift of both bounds.
    """

    lowest: int | None
    highest: int | None

    def _rule(self) -> str:
        if self.highest is None:
            return f"k - q >= {self.lowest}"
        return f"k - q <= {self.highest}" if self.lowest is None else f"{self.lowest} <= k - q <= {self.highest}"

    def _ignores_queries(self) -> bool:
        return False

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        q = torch.arange(rows.start, rows.stop, device=device)[:, None]
        k = torch.arange(columns.start, columns.stop, device=device)
        allowed = torch.ones(len(rows), len(columns), dtype=torch.bool, device=device)
        if self.lowest is not None:
            allowed &= k >= q + self.lowest
        if self.highest is not None:
            allowed &= k <= q + self.highest
        return allowed

    def _kind(self, rows: range, columns: range) -> TileKind:
        # Every difference from the block's lower left corner to its upper right one occurs in it.
        smallest, largest = columns[0] - rows[-1], columns[-1] - rows[0]
        lowest = smallest if self.lowest is None else self.lowest
        highest = largest if self.highest is None else self.highest
        if largest < lowest or smallest > highest:
            return TileKind.EMPTY
        return TileKind.FULL if lowest <= smallest and largest <= highest else TileKind.MIXED

    def _spans(self) -> Spans:
        n_q, n_k = self.shape[-2:]
        q = torch.arange(n_q)
        start = torch.zeros_like(q) if self.lowest is None else (q + self.lowest).clamp(0, n_k)
        stop = torch.full_like(q, n_k) if self.highest is None else (q + self.highest + 1).clamp(0, n_k)
        return Spans(start, torch.maximum(start, stop))

    def _pattern(self, rows: range, columns: range) -> Hashable:
        return len(rows), len(columns), columns.start - rows.start  # all that matters is k - q


@final
@dataclass(frozen=True, eq=False, repr=False)
class PrefixMask(Mask):
    """The keys `k < prefix_len` for every query, and what `causal` (of the same shape) allows."""

    causal: BandMask
    prefix_len: int

    def _rule(self) -> str:
        return f"k < {self.prefix_len} or {self.causal._rule()}"

    def _ignores_queries(self) -> bool:
        return False

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        k = torch.arange(columns.start, columns.stop, device=device)
        return self.causal._tile(rows, columns, device) | (k < self.prefix_len)

    def _kind(self, rows: range, columns: range) -> TileKind:
        rest = range(max(columns.start, self.prefix_len), columns.stop)
        if not rest:
            return TileKind.FULL
        kind = self.causal._kind(rows, rest)
        if len(rest) == len(columns) or kind is TileKind.FULL:
            return kind
        return TileKind.MIXED

    def _spans(self) -> Spans | None:
        n_k = self.shape[-1]
        prefix = Spans(torch.zeros(1, dtype=torch.int64), torch.tensor([min(self.prefix_len, n_k)]))
        return self.causal._spans().joined(prefix)


@final
@dataclass(frozen=True, eq=False, repr=False)
class KeyMask(Mask):
    """The keys that `keep`, boolean `(*batch, n_k)`, allows, for every query; the shape is `(*batch, 1, n_k)`."""

    keep: Tensor

    def _rule(self) -> str:
        return "kept keys"

    def _ignores_queries(self) -> bool:
        return True

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        keep = self.keep[..., None, columns.start : columns.stop].to(device, copy=True)
        return keep[..., : len(rows), :]

    def _kind(self, rows: range, columns: range) -> TileKind:
        return kind_of(self.keep[..., columns.start : columns.stop])

    def _spans(self) -> Spans | None:
        return spans_of_rows(self.keep[..., None, :].cpu())


@final
@dataclass(frozen=True, eq=False, repr=False)
class DocumentMask(Mask):
    """The keys whose id equals the query's: `query_ids (*batch, n_q)`, `key_ids (*batch, n_k)`."""

    query_ids: Tensor
    key_ids: Tensor

    def _rule(self) -> str:
        return "same document"

    def _ignores_queries(self) -> bool:
        return False

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        queries, keys = (ids.to(device) for ids in self._ids(rows, columns))
        return queries[..., :, None] == keys[..., None, :]  # (..., r, 1) == (..., 1, c) -> (..., r, c)

    def _kind(self, rows: range, columns: range) -> TileKind:
        bound = self._bound(rows, columns)
        return bound if bound is not TileKind.MIXED else kind_of(self._tile(rows, columns, "cpu"))

    def _bound(self, rows: range, columns: range) -> TileKind:
        # Documents mostly lie one after the other: then the ends of the ranges decide, and no cell is compared.
        ends = [(*q, *k) for q, k in zip(self._queries.ends(rows), self._keys.ends(columns), strict=True)]
        if all(last_q < first_k or last_k < first_q for first_q, last_q, first_k, last_k in ends):
            return TileKind.EMPTY
        return TileKind.FULL if all(min(ids) == max(ids) for ids in ends) else TileKind.MIXED

    def _spans(self) -> Spans | None:
        return self._keys.spans(self._queries, self.shape)

    @functools.cached_property
    def _queries(self) -> "_Ids":
        return _Ids(self.query_ids.expand(*self.shape[:-2], -1))

    @functools.cached_property
    def _keys(self) -> "_Ids":
        return _Ids(self.key_ids.expand(*self.shape[:-2], -1))

    def _ids(self, rows: range, columns: range) -> tuple[Tensor, Tensor]:
        return self.query_ids[..., rows.start : rows.stop], self.key_ids[..., columns.start : columns.stop]


@final
class _Ids:
    """The ids of one axis, in a form that answers many short questions ten times as fast as a tensor."""

    def __init__(self, ids: Tensor) -> None:
        self._ids = ids.reshape(-1, ids.shape[-1]).cpu().numpy()
        self._ascend = bool((self._ids[:, 1:] >= self._ids[:, :-1]).all())

    def ends(self, span: range) -> list[tuple[int, int]]:
        """Return the lowest and the highest id of some positions, for each of the batch."""
        part = self._ids[:, span.start : span.stop]
        first, last = (part[:, 0], part[:, -1]) if self._ascend else (part.min(-1), part.max(-1))
        return list(zip(first.tolist(), last.tolist(), strict=True))

    def spans(self, queries: "_Ids", shape: tuple[int, ...]) -> Spans | None:
        """Return where the ids of `queries` are among these; `shape` is that of the mask."""
        if not self._ascend:
            return None
        places = [
            [np.searchsorted(own, asked, side) for own, asked in zip(self._ids, queries._ids, strict=True)]
            for side in ("left", "right")
        ]
        return Spans(*(torch.as_tensor(np.stack(each)).reshape(shape[:-1]) for each in places))
