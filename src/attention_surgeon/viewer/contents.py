"""The maps of a subject as entries of the page's document: at the detail that fits, with the error that this makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from attention_surgeon.stats import PooledMap
from attention_surgeon.viewer.codes import Grid, encode, packed, packed_codes, packed_numbers
from attention_surgeon.viewer.detail import BASE64, Choice, costs_of, fits_exactly, plan
from attention_surgeon.viewer.grids import Grids, grids_of
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Subject, name_of

_STRONGEST = (8, 4, 2, 1)
_SHARE_OF_STRONGEST = 0.15
_MOST_COLUMNS = np.iinfo(np.uint16).max


@final
@dataclass(frozen=True)
class Contents:
    """What the page holds of the maps.

    Attributes:
        maps: One entry per map: its grids, its strongest weights, its sink, and which of the frames is its own.
        frames: Cells of one size each: `block`, `rowEdges` and `columnEdges`.
    """

    maps: list[dict[str, Any]]
    frames: list[dict[str, Any]]


def contents_of(subjects: Sequence[Subject], in_full: frozenset[int], room: float, caller: str) -> list[Contents]:
    """Return the maps of one subject, or of two that are compared, at the best detail that fits.

    Args:
        subjects: What is shown; the same map of two subjects gets the same cells.
        in_full: Numbers of the maps that are held weight by weight in all steps.
        room: How many bytes the maps of all subjects may take in the page.
        caller: What the messages call the function that was called.

    Raises:
        NonFiniteError, OptionError: numbers that are no weights.
    """
    first = subjects[0]
    n_q, n_k = first.sizes
    count = len(first.maps) * len(subjects)
    if not first.is_pooled and fits_exactly(count * n_q * n_k, room):
        return [_contents(subject, [None] * len(subject.maps), 0, caller) for subject in subjects]
    strongest = 0 if first.is_pooled else _num_strongest(count * n_q, n_k, room)
    room -= count * n_q * strongest * 4 * BASE64
    costs = np.sum(
        [list(in_parallel(lambda i, of=each: costs_of(of.maps[i]), range(len(each.maps)))) for each in subjects], 0
    )
    choices = plan(costs.tolist(), room, in_full)
    return [_contents(subject, choices, strongest, caller) for subject in subjects]


def _contents(subject: Subject, choices: Sequence[Choice | None], strongest: int, caller: str) -> Contents:
    frames: dict[int, dict[str, Any]] = {}

    def entry(number: int) -> dict[str, Any]:
        choice, shown = choices[number], subject.maps[number]
        block = 1 if choice is None else choice.block
        grids = grids_of(shown, block, name_of(subject.axes, subject.places[number]), caller)
        frames[block] = _frame(grids)
        found = {"frame": block, "steps": None if choice is None else choice.steps, **_summary(grids)}
        found |= _cells(grids, choice)
        if strongest and not isinstance(shown, PooledMap):
            found["strongest"] = _strongest(shown, strongest)
        return found

    maps = list(in_parallel(entry, range(len(subject.maps))))
    order = sorted(frames)
    for each in maps:
        each["frame"] = order.index(each["frame"])
    return Contents(maps, [frames[block] for block in order])


def _cells(grids: Grids, choice: Choice | None) -> dict[str, Any]:
    if choice is None:
        return {"largest": packed_numbers(grids.largest), "mean": None}
    largest = packed_codes(encode(grids.largest, choice.steps))
    return {"largest": largest, "mean": None if grids.mean is None else packed_codes(encode(grids.mean, choice.steps))}


def _frame(grids: Grids) -> dict[str, Any]:
    down, across = grids.row_edges, grids.column_edges
    block = max(down[1] - down[0], across[1] - across[0])
    return {"block": block, "rowEdges": list(down), "columnEdges": list(across)}


def _num_strongest(num_rows: int, n_k: int, room: float) -> int:
    """Return how many of the largest weights of each row are kept on their own."""
    if n_k > _MOST_COLUMNS:
        return 0
    fitting = (k for k in _STRONGEST if k < n_k and num_rows * k * 4 * BASE64 <= _SHARE_OF_STRONGEST * room)
    return next(fitting, 0)


def _strongest(shown: torch.Tensor, count: int) -> dict[str, Any]:
    """Return the columns and the weights of the largest of each row, two bytes each."""
    values, columns = shown.float().topk(count, dim=-1)
    top = float(values.max())
    codes = (values.cpu().numpy() * (65535 / top if top else 0.0)).round().astype("<u2")
    keys = columns.cpu().numpy().astype("<u2")
    return {"count": count, "top": top, "data": packed(keys.tobytes() + codes.tobytes())}


def _summary(grids: Grids) -> dict[str, Any]:
    """Return the largest weight, where to look first, and the column of cells that gets most, with its share."""
    largest, mean = grids.largest, grids.largest if grids.mean is None else grids.mean
    widths = np.diff(np.asarray(grids.column_edges)).astype(np.float32)
    heights = np.diff(np.asarray(grids.row_edges)).astype(np.float32)
    received = (heights @ mean) * widths  # the sum of the weights of each column of cells
    sink = int(received.argmax())
    columns = largest.max(axis=0)
    elsewhere = float(np.delete(columns, sink).max(initial=0.0))
    total = float(received.sum())
    return {
        "top": float(columns.max()),
        "start": _striking(largest, mean, grids),
        "sink": {"column": sink, "share": float(received[sink]) / total if total else 0.0, "topElsewhere": elsewhere},
    }


def _striking(largest: Grid, mean: Grid, grids: Grids) -> tuple[int, int, float]:
    """Return query and key of the cell that stands out most above what its key usually gets, and by how much.

    A query with one key to choose from gives it everything and says nothing, unless all are so.
    """
    excess = largest - mean.mean(axis=0)
    forced = (largest > 0).sum(axis=1) <= 1
    if not forced.all():
        excess[forced] = -1.0
    row, column = divmod(int(excess.argmax()), excess.shape[1])
    return grids.row_edges[row], grids.column_edges[column], float(f"{excess[row, column]:.3g}")
