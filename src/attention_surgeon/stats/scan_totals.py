"""What the groups of one head add up to."""

from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.stats.scan_head import ScanHead
from attention_surgeon.stats.scan_plan import Plan
from attention_surgeon.stats.scan_rows import GroupResult, RowTable


@final
class HeadTotals:
    """Everything found of one head so far.

    Attributes:
        table: One line for each query that was looked at, in order of the groups.
        rows: Which queries these are.
        received: `(n_k,)`, float64: Σ over these queries of what each key gets.
    """

    def __init__(self, head: ScanHead, plan: Plan) -> None:
        """Begin with no rows."""
        self._head, self._plan = head, plan
        self._tables: list[Tensor] = []
        self._rows: list[Tensor] = []
        self.received = torch.zeros(head.num_keys, dtype=torch.float64, device=head.query.device)
        cells = (0, 0) if plan.row_edges is None else (len(plan.row_edges) - 1, plan.num_columns)
        self._mass, self._largest = self.received.new_zeros(2, *cells)
        self._rows_in_cell = self.received.new_zeros(cells[0])

    def add(self, result: GroupResult) -> None:
        """Add what was found of a group."""
        self._tables.append(result.table.numbers)
        self._rows.append(result.group.rows)
        if result.received is not None:
            self.received[result.first_key : result.first_key + len(result.received)] += result.received
        if result.mass is not None and result.largest is not None:
            self._add_cells(result.group.rows, result.mass.double(), result.largest.double())

    def _add_cells(self, rows: Tensor, mass: Tensor, largest: Tensor) -> None:
        """Pool rows into rows of cells."""
        assert self._plan.row_edges is not None
        first, second, *_ = self._plan.row_edges
        cell = (rows - first) // (second - first)
        self._rows_in_cell.index_add_(0, cell, torch.ones_like(cell, dtype=torch.float64))
        self._mass.index_add_(0, cell, mass)
        self._largest.scatter_reduce_(0, cell[:, None].expand_as(largest), largest, "amax")

    @property
    def num_queries(self) -> int:
        """n_q."""
        return self._head.num_queries

    @property
    def rows(self) -> Tensor:
        """Which queries were looked at."""
        return torch.cat(self._rows)

    @property
    def table(self) -> RowTable:
        """What was found of each of them."""
        return RowTable(torch.cat(self._tables))

    def pooled(self) -> PooledMap | None:
        """Return the map: of all weights, or of those rows that were looked at."""
        rows, columns = self._plan.row_edges, self._plan.column_edges
        if rows is None or columns is None:
            return None
        areas = self._rows_in_cell[:, None] * torch.tensor(columns, device=self._mass.device).diff()
        mean = (self._mass / areas).float().cpu()
        return PooledMap(self._largest.float().cpu(), mean, rows, columns, self._head.num_queries, self._head.num_keys)
