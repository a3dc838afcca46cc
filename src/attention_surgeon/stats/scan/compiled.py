"""Rows through the compiled library: those whose scores are small, of a head whose queries see one run of keys each."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.compiled.library import team, usable
from attention_surgeon.kernels.visible import LOG2_E
from attention_surgeon.masks.spans import Spans
from attention_surgeon.stats.row_sums import StatisticsOptions
from attention_surgeon.stats.scan.group import COLUMNS, HeadTotals, RowTable
from attention_surgeon.stats.scan.plan import Plan, ScanHead

BLOCK = 64
"""Rows that the library works on together."""
PARTS = 8
"""Into how many parts the work is dealt, whatever the number of threads, so that sums do not depend on it."""
CELLS = 2**26
"""Weights of one call: some hundredths of a second, after which others have a say."""

_INT, _POINTER, _DOUBLE = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class _Scan(ctypes.Structure):
    """The structure of the same name in `compiled/scan.c`, where its fields are described."""

    _fields_ = (
        *((name, _INT) for name in ("n_k", "d_k", "d_v")),
        *((name, _POINTER) for name in ("query", "key", "value")),
        ("scale", _DOUBLE),
        *((name, _INT) for name in ("query_row", "key_row", "value_row")),
        *((name, _POINTER) for name in ("positions", "starts", "stops")),
        ("window", _INT),
        ("threshold", _DOUBLE),
        ("token_at", _POINTER),
        *((name, _INT) for name in ("repeat_offset", "map_from", "map_to", "cell", "columns")),
        *((name, _POINTER) for name in ("map_rows", "tasks")),
        *((name, _INT) for name in ("num_tasks", "has_statistics", "parts")),
        *((name, _POINTER) for name in ("table", "received", "mass", "largest")),
        ("threads", _INT),
        ("team", _POINTER),
    )


def scan_rows(
    head: ScanHead,
    plan: Plan,
    options: StatisticsOptions | None,
    totals: HeadTotals,
    rows: Tensor,
    threads: int,
    on_progress: Callable[[float], None],
) -> Tensor:
    """Add what is found of rows, and return those that are left for others.

    Args:
        head: Of which head.
        plan: The map, if one is made.
        options: None: only the map is wanted.
        totals: What is added to.
        rows: `(r,)`, increasing.
        threads: How many.
        on_progress: Called with the share of the rows that is done.
    """
    work = _Work.of(head, plan, options, totals, threads)
    if work is None:
        return rows
    is_fit = head.are_safe(rows)
    fit = rows if bool(is_fit.all()) else rows[is_fit]
    if not len(fit):
        return rows
    done = 0
    for some in fit.split(max(CELLS // head.num_keys // BLOCK, 1) * BLOCK):
        if not work.take(some):
            return rows[~is_fit | (rows >= some[0])]
        done += len(some)
        on_progress(done / len(rows))
    return rows[:0] if fit is rows else rows[~is_fit]


@final
@dataclass(frozen=True, eq=False)
class _Work:
    """What is the same for all calls of one head; `kept` is what the call points to."""

    head: ScanHead
    plan: Plan
    totals: HeadTotals
    spans: Spans
    call: _Scan
    functions: ctypes.CDLL
    kept: tuple[Tensor | None, ...]

    @classmethod
    def of(
        cls, head: ScanHead, plan: Plan, options: StatisticsOptions | None, totals: HeadTotals, threads: int
    ) -> "_Work | None":
        """Begin; None where the library is not there, or the head is not for it."""
        if head.query.dtype == torch.float64 or head.query.device.type != "cpu":
            return None
        functions = usable()
        if functions is None:
            return None
        spans = head.mask.spans(head.num_queries, head.num_keys)
        if spans is None:
            return None
        query, key = head.query.float().contiguous(), head.fast_key.contiguous()
        value = None if head.value is None else head.value.float().contiguous()
        call = _Scan(
            scale=head.scale * LOG2_E, n_k=head.num_keys, d_k=query.shape[1], key=key.data_ptr(), key_row=key.stride(0)
        )
        call.query_row, call.parts, call.threads, call.team = query.shape[1], PARTS, threads, team()
        if value is not None:
            call.d_v, call.value, call.value_row = value.shape[1], value.data_ptr(), value.stride(0)
        tokens = None
        if options is not None:
            call.has_statistics, call.window, call.threshold = 1, options.window, options.threshold
            if head.repeats is not None and head.repeats.offset is None:
                tokens = head.repeats.token_at.to(torch.int32)
                call.token_at = tokens.data_ptr()
            elif head.repeats is not None:
                call.repeat_offset = head.repeats.offset
        if plan.column_edges is not None:
            call.map_from, call.map_to, call.columns = plan.column_edges[0], plan.column_edges[-1], plan.num_columns
            call.cell = plan.column_edges[1] - plan.column_edges[0]
            call.mass, call.largest = (grid.data_ptr() for grid in totals.grids)
        return cls(head, plan, totals, spans, call, functions, (query, key, value, tokens))

    def take(self, rows: Tensor) -> bool:
        """Add what is found of rows, and say whether that could be done."""
        call, query = self.call, self.kept[0]
        assert query is not None
        first, last = rows[[0, -1]].tolist()
        run = slice(first, last + 1) if last + 1 - first == len(rows) else rows
        starts, stops = (x[run].contiguous() for x in self.spans)
        positions, asked = self.head.positions(rows), query[run]
        cells = self.totals.row_of_cells(rows) if call.columns else None
        tasks = torch.from_numpy(_tasks(len(rows), None if cells is None else cells.numpy()))
        table = torch.zeros(len(rows), len(COLUMNS), dtype=torch.float64)
        received = torch.zeros(call.parts, self.head.num_keys, dtype=torch.float64)
        call.query, call.positions, call.starts = asked.data_ptr(), positions.data_ptr(), starts.data_ptr()
        call.stops, call.tasks, call.num_tasks = stops.data_ptr(), tasks.data_ptr(), len(tasks) - 1
        call.table, call.received = table.data_ptr(), received.data_ptr()
        call.map_rows = None if cells is None else cells.data_ptr()
        if self.functions.attention_scan(ctypes.byref(call)):
            return False
        self.totals.add_rows(rows, RowTable(table), received.sum(0) if call.has_statistics else None, cells)
        return True


def _tasks(num_rows: int, cells: "np.ndarray[Any, np.dtype[np.int64]] | None") -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return where each task begins, and the end: about `BLOCK` rows, and never a part of a row of cells.

    >>> _tasks(130, None)
    array([  0,  64, 128, 130])
    >>> _tasks(130, np.repeat(np.arange(3), [50, 10, 70]))
    array([  0,  60, 130])
    """
    bounds = [0]
    while bounds[-1] + BLOCK < num_rows:
        end = bounds[-1] + BLOCK
        if cells is not None and cells[end] == cells[end - 1]:
            begin = int(np.searchsorted(cells, cells[end]))
            end = begin if begin > bounds[-1] else int(np.searchsorted(cells, cells[end], "right"))
        bounds.append(end)
    return np.asarray(bounds if bounds[-1] == num_rows else [*bounds, num_rows])
