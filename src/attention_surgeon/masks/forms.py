"""The forms a mask takes: a band along the diagonal, a prefix, keys to keep, documents. All are exact about blocks."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.masks.blocks import TileKind, kind_of
from attention_surgeon.masks.mask import Device, Mask


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
        queries, keys = self._ids(rows, columns)
        first_query, last_query = queries.amin(-1), queries.amax(-1)
        first_key, last_key = keys.amin(-1), keys.amax(-1)
        # Documents mostly lie one after the other: then the ends of the ranges decide, and no cell is compared.
        if ((last_query < first_key) | (last_key < first_query)).all():
            return TileKind.EMPTY
        return kind_of(queries[..., :, None] == keys[..., None, :])

    def _ids(self, rows: range, columns: range) -> tuple[Tensor, Tensor]:
        return self.query_ids[..., rows.start : rows.stop], self.key_ids[..., columns.start : columns.stop]
