"""One pass over a problem, handed to the compiled library, or None where it has to be done with more care."""

import ctypes
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.compiled.cells import runs_of_cells
from attention_surgeon.compiled.library import team, threads_for, usable
from attention_surgeon.kernels.backward import Gradients
from attention_surgeon.kernels.forward import ForwardResult
from attention_surgeon.kernels.problem import ROWS, Block, Problem, all_finite
from attention_surgeon.kernels.scores import exact_above
from attention_surgeon.kernels.tiles import Tiles
from attention_surgeon.kernels.visible import Visible
from attention_surgeon.threads import one_thread

LANES = 16
"""Numbers in the longest vector of the library: to a multiple of it rows are read and gradients written."""
ADDED = 2**21
"""Numbers of a mask that are written out at a time: 8 MiB."""

_INT, _POINTER, _DOUBLE = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class _Matrix(ctypes.Structure):
    _fields_ = (("start", _POINTER), ("unit", _INT), ("row", _INT))


class _Call(ctypes.Structure):
    """The structure of the same name in `attention.c`, where its fields are described."""

    _fields_ = (
        *((name, _INT) for name in ("units", "n_q", "n_k", "d_k", "d_v", "kv_entries")),
        *((name, _Matrix) for name in ("query", "key", "value")),
        ("kv_of", _POINTER),
        *((name, _DOUBLE) for name in ("factor", "most")),
        *((name, _POINTER) for name in ("mask_of", "starts", "stops")),
        *((name, _INT) for name in ("block", "first_row", "rows")),
        *((name, _POINTER) for name in ("first_run", "runs")),
        ("output", _Matrix),
        *((name, _POINTER) for name in ("shift", "total")),
        *((name, _Matrix) for name in ("grad_output", "grad_query", "grad_key", "grad_value")),
        ("grad_logsumexp", _POINTER),
        *((name, _INT) for name in ("parts", "grad_key_part", "grad_value_part", "threads")),
        ("team", _POINTER),
    )


def forward(problem: Problem) -> ForwardResult | None:
    """Return what `forward_pass` returns; None where the library is not there or the problem is not for it."""
    call = _begun(problem)
    if call is None:
        return None
    units, n_q, _ = problem.sizes
    query = problem.query
    made = ForwardResult(
        query.new_empty(units, n_q, problem.value.shape[-1]),
        query.new_empty(units, n_q, 1, dtype=torch.float64),
        query.new_empty(units, n_q, 1),
    )
    call.give(made)
    return made if call.run("attention_forward") else None


def backward(
    problem: Problem, made: ForwardResult, grad_output: Tensor, grad_logsumexp: Tensor | None
) -> Gradients | None:
    """Return what `backward_pass` returns without a bias; None as in `forward`."""
    call = _begun(problem)
    if call is None or not all_finite(grad_output):
        return None
    units, n_q, n_k = problem.sizes
    size, value_size = problem.query.shape[-1], problem.value.shape[-1]
    wide, value_wide = (-(-x // LANES) * LANES for x in (size, value_size))
    threads = call.structure.threads
    entries = problem.key.shape[0]
    parts = 1 if entries % threads == 0 or entries >= 4 * threads else threads
    grad_query = problem.query.new_empty(units, n_q, size)
    grad_key = problem.query.new_zeros(parts, entries, n_k, wide)
    grad_value = problem.query.new_zeros(parts, entries, n_k, value_wide)
    call.give(made)
    call.give_gradients(grad_output, grad_query, grad_key, grad_value, grad_logsumexp)
    if not call.run("attention_backward"):
        return None
    return Gradients(grad_query, _summed(grad_key[..., :size]), _summed(grad_value[..., :value_size]), None)


def _summed(parts: Tensor) -> Tensor:
    return (parts[0] if parts.shape[0] == 1 else parts.sum(0)).contiguous()


class Rows(NamedTuple):
    """Some queries of a call, and the keys that they see.

    Attributes:
        rows: Which.
        first_run: For each position of the mask and each block of `ROWS` queries the first of its runs.
        runs: Numbers of the library's `Run`, four for each.
        kept: What the runs point to.
    """

    rows: slice
    first_run: "np.ndarray[Any, np.dtype[np.int64]]"
    runs: "np.ndarray[Any, np.dtype[np.int64]]"
    kept: list[Tensor]


@final
@dataclass
class _Begun:
    """A call with what it points to, which has to stay alive until it ends."""

    problem: Problem
    structure: _Call
    functions: ctypes.CDLL
    kept: list[Any] = field(default_factory=list)

    def matrix(self, x: Tensor) -> _Matrix:
        if x.stride(-1) != 1 or x.is_neg():
            x = x.contiguous().resolve_neg()
        self.kept.append(x)
        return _Matrix(x.data_ptr(), x.stride(0), x.stride(1))

    def flat(self, x: Tensor) -> int:
        x = x.contiguous()
        self.kept.append(x)
        return x.data_ptr()

    def integers(self, numbers: list[int]) -> int:
        array = np.asarray(numbers, dtype=np.int64)
        self.kept.append(array)
        return array.ctypes.data

    def give(self, made: ForwardResult) -> None:
        call = self.structure
        call.output = self.matrix(made.output)
        call.shift, call.total = self.flat(made.shift), self.flat(made.total)

    def give_gradients(
        self, grad_output: Tensor, query: Tensor, key: Tensor, value: Tensor, grad_logsumexp: Tensor | None
    ) -> None:
        call = self.structure
        call.grad_output, call.grad_query = self.matrix(grad_output), self.matrix(query)
        call.grad_key, call.grad_value = self.matrix(key[0]), self.matrix(value[0])
        call.parts, call.grad_key_part, call.grad_value_part = key.shape[0], key.stride(0), value.stride(0)
        if grad_logsumexp is not None:
            call.grad_logsumexp = self.flat(grad_logsumexp)

    def run(self, name: str) -> bool:
        """Call a function of the library for all queries, and say whether it did its work."""
        call, function = self.structure, getattr(self.functions, name)
        visible = self.problem.visible
        if visible is None:
            return function(ctypes.byref(call)) == 0
        positions = sorted(set(self.problem.mask_of))
        call.mask_of = self.integers([positions.index(own) for own in self.problem.mask_of])
        spans = _spans(visible, self.problem.sizes, positions)
        if spans is not None:
            call.starts, call.stops = (self.flat(each) for each in spans)
            return function(ctypes.byref(call)) == 0
        with one_thread():  # the tiles of a mask are small
            for part in _rows_with_runs(self.problem, positions):
                call.first_row, call.rows = part.rows.start, part.rows.stop - part.rows.start
                call.first_run, call.runs = part.first_run.ctypes.data, part.runs.ctypes.data
                if function(ctypes.byref(call)):
                    return False
        return True


def _spans(visible: Visible, sizes: tuple[int, int, int], positions: list[int]) -> tuple[Tensor, Tensor] | None:
    """Return the first key and the one behind the last that each query sees, `(positions, n_q)`, if it is one run."""
    _, n_q, n_k = sizes
    cells = visible.written_out()
    if visible.shape[-1] != n_k:
        return None
    if cells is None:
        spans = visible.spans()
        if spans is None:
            return None
        start, stop = (x.expand(*visible.shape[:-2], n_q).reshape(-1, n_q)[positions] for x in spans)
        return start, stop
    cells = cells.reshape(-1, *cells.shape[-2:])
    found = [runs for position in positions if (runs := runs_of_cells(cells[position])) is not None]
    if len(found) < len(positions):
        return None
    start, stop = (torch.stack(each).expand(-1, n_q) for each in zip(*found, strict=True))
    return start, stop


def _begun(problem: Problem) -> _Begun | None:
    query, key, value = problem.query, problem.key, problem.value
    units, n_q, n_k = problem.sizes
    work = units * n_q * n_k * (query.shape[-1] + value.shape[-1])
    if query.device.type != "cpu" or query.dtype != torch.float32 or problem.dropout or not work or not query.shape[-1]:
        return None
    functions = usable()
    if functions is None:
        return None
    begun = _Begun(problem, _Call(), functions)
    call = begun.structure
    call.units, call.n_q, call.n_k, call.kv_entries = units, n_q, n_k, key.shape[0]
    call.d_k, call.d_v = query.shape[-1], value.shape[-1]
    call.query, call.key, call.value = begun.matrix(query), begun.matrix(key), begun.matrix(value)
    call.kv_of = begun.integers(problem.kv_of)
    call.factor = problem.factor
    call.most = exact_above(problem) - (problem.visible.limit if problem.visible is not None else 0.0)
    call.block, call.rows, call.parts = ROWS, n_q, 1
    call.threads, call.team = threads_for(work), team()
    return begun


def _rows_with_runs(problem: Problem, positions: list[int]) -> Iterator[Rows]:
    """Yield all queries in as few portions as the numbers that a mask adds allow."""
    n_q = problem.sizes[1]
    one_of = [problem.mask_of.index(position) for position in positions]
    tiles = Tiles(problem)
    pending, written = _Pending(len(positions)), _Written()
    start = 0
    for row in range(0, n_q, ROWS):
        rows = slice(row, min(row + ROWS, n_q))
        for number, unit in enumerate(one_of):
            pending.add(number, tiles.of(Block(slice(unit, unit + 1), rows)), rows, written)
        if written.numbers > ADDED or rows.stop == n_q:
            yield pending.closed(slice(start, rows.stop), written)
            start, pending, written = rows.stop, _Pending(len(positions)), _Written()


class _Written:
    """Tiles of a mask as the library wants them: keys by padded queries, each one once."""

    def __init__(self) -> None:
        self.numbers = 0
        self.kept: list[Tensor] = []
        self._known: dict[int, Tensor] = {}

    def of(self, added: Tensor, rows: int, keys: int) -> Tensor:
        if id(added) not in self._known:
            wide = added.new_full((keys, -(-rows // LANES) * LANES), -math.inf)
            wide[:, :rows] = added[0].expand(rows, keys).mT
            self._known[id(added)] = wide
            self.kept += [added, wide]  # the first, too: an address is known as long as what lies there
            self.numbers += wide.numel()
        return self._known[id(added)]


class _Pending:
    """The runs of some blocks, one list for each position of the mask."""

    def __init__(self, positions: int) -> None:
        self._runs: list[list[list[tuple[int, int, int, int]]]] = [[] for _ in range(positions)]

    def add(self, number: int, tiles: list[Any], rows: slice, written: _Written) -> None:
        own: list[tuple[int, int, int, int]] = []
        for columns, added in tiles:
            start, stop = columns.start, columns.stop
            if added is not None:
                wide = written.of(added, rows.stop - rows.start, stop - start)
                own.append((start, stop, wide.data_ptr(), wide.shape[1]))
            elif own and own[-1][1] == start and not own[-1][2]:
                own[-1] = (own[-1][0], stop, 0, 0)
            else:
                own.append((start, stop, 0, 0))
        self._runs[number].append(own)

    def closed(self, rows: slice, written: _Written) -> Rows:
        runs = [run for blocks in self._runs for block in blocks for run in block]
        ends: list[int] = []
        begun = 0
        for blocks in self._runs:
            counts = [len(block) for block in blocks]
            ends += itertools.accumulate(counts, initial=begun)
            begun += sum(counts)
        array = np.asarray(runs or [(0, 0, 0, 0)], dtype=np.int64)
        return Rows(rows, np.asarray(ends, dtype=np.int64), array, written.kept)
