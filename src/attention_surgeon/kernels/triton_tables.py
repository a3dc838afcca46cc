"""A mask as tables that a kernel can follow: the tiles of each block of queries, and of each block of keys."""

from typing import NamedTuple

import torch
from torch import Tensor

from attention_surgeon.kernels.operands import Operands
from attention_surgeon.kernels.visible import Visible, visible_of
from attention_surgeon.masks import TileKind


class Table(NamedTuple):
    """Which tiles stand in each line of tiles, a line being a block of queries or a block of keys.

    Attributes:
        starts: Where the line's tiles begin, int32 `(masks * lines + 1)`.
        others: For each tile its place along the line, int32.
        added: For each tile which of `cells` is added to its scores, int32; -1: none, all may attend.
    """

    starts: Tensor
    others: Tensor
    added: Tensor


class Tables(NamedTuple):
    """A mask in tiles of `rows` queries and `width` keys.

    Attributes:
        by_query: A line for each block of queries.
        by_key: A line for each block of keys.
        cells: What is added, in units of log 2, `(tiles, rows, width)`.
    """

    by_query: Table
    by_key: Table
    cells: Tensor


def make_tables(given: Operands, rows: int, width: int) -> Tables:
    """Return the tables of a call's mask."""
    masks = max(given.mask_of, default=0) + 1
    visible = visible_of(given.mask, given.query.device, "triton_attention")
    tiles: list[tuple[int, int, int, int]] = []  # mask, block of queries, block of keys, cells
    cells: list[Tensor] = []
    for row in range(0, given.query.shape[-2], rows):
        for column in range(0, given.key.shape[-2], width):
            kinds = _kinds(given, visible, slice(row, row + rows), slice(column, column + width), masks)
            for mask, part in enumerate(kinds):
                if isinstance(part, Tensor):
                    cells.append(_padded(part, rows, width))
                if part is not TileKind.EMPTY:
                    at = len(cells) - 1 if isinstance(part, Tensor) else -1
                    tiles.append((mask, row // rows, column // width, at))
    device = given.query.device
    blocks = (-(-given.query.shape[-2] // rows), -(-given.key.shape[-2] // width))
    by_query = _table(sorted(tiles), masks, blocks[0], device)
    by_key = _table(sorted((mask, k, q, at) for mask, q, k, at in tiles), masks, blocks[1], device)
    return Tables(by_query, by_key, torch.stack(cells) if cells else given.query.new_zeros(1, rows, width))


def _kinds(
    given: Operands, visible: Visible | None, rows: slice, columns: slice, masks: int
) -> list[TileKind | Tensor]:
    """Return for each of the mask's own batch what the tile is, and where it is mixed what is added."""
    if visible is None:
        return [TileKind.FULL]
    rows = slice(rows.start, min(rows.stop, given.query.shape[-2]))
    columns = slice(columns.start, min(columns.stop, given.key.shape[-2]))
    kind = visible.kind(rows, columns)
    if kind is not TileKind.MIXED:
        return [kind] * masks
    cells = visible.cells(rows, columns)
    kinds: list[TileKind | Tensor] = []
    for own in cells.reshape(-1, *cells.shape[-2:]):
        kind = visible.kind_of_cells(own)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        kinds.append(visible.added(own, given.query.dtype).expand(shape) if kind is TileKind.MIXED else kind)
    return kinds


def _padded(part: Tensor, rows: int, width: int) -> Tensor:
    whole = part.new_zeros(rows, width)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def _table(tiles: list[tuple[int, int, int, int]], masks: int, lines: int, device: torch.device) -> Table:
    counts = torch.zeros(masks * lines + 1, dtype=torch.int32)
    for mask, line, _, _ in tiles:
        counts[mask * lines + line + 1] += 1
    others, added = ([tile[part] for tile in tiles] or [0] for part in (2, 3))
    numbers = (counts.cumsum(0), torch.tensor(others), torch.tensor(added))
    return Table(*(each.to(torch.int32).to(device) for each in numbers))
