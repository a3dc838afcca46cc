"""The maps of a subject as entries of the page's document: at the detail that fits, with the error that this makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch

from attention_surgeon.viewer.codes import MOST_STEPS, encode, packed, packed_codes, packed_numbers
from attention_surgeon.viewer.detail import BASE64, cost_of, fits_exactly, plan_steps
from attention_surgeon.viewer.grids import Grids, grids_of
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Map, Subject, name_of

_MOST_CELLS = 2048
"""No map holds more cells along a side: a screen has no more points, and the eye no more use."""
_STRONGEST = (8, 4, 2, 1)
_SHARE_OF_STRONGEST = 0.2


@final
@dataclass(frozen=True)
class Contents:
    """What the page holds of the maps.

    Attributes:
        maps: One entry per map: its grids, its strongest weights, its sink.
        row_edges: Where the rows of cells begin, and where the last one ends.
        column_edges: The same for the columns.
        detail: What is held and how exactly, for the page to say.
    """

    maps: list[dict[str, Any]]
    row_edges: tuple[int, ...]
    column_edges: tuple[int, ...]
    detail: dict[str, Any]


def contents_of(subject: Subject, in_full: frozenset[int], room: float, caller: str) -> Contents:
    """Return the maps at the best detail that fits into `room` bytes.

    Args:
        subject: What is shown.
        in_full: Numbers of the maps that are held with all steps whatever it costs.
        room: How many bytes the maps may take in the page.
        caller: What the messages call the function that was called.
    """
    n_q, n_k = subject.sizes
    block = 1
    while not subject.is_pooled and max(n_q, n_k) > _MOST_CELLS * block:
        block *= 2
    if not subject.is_pooled and block == 1 and fits_exactly(len(subject.maps) * n_q * n_k, room):
        return _exact(subject, caller)
    strongest = 0 if subject.is_pooled else _num_strongest(len(subject.maps) * n_q, n_k, room)
    room -= len(subject.maps) * n_q * strongest * 4 * BASE64
    while True:
        costs = list(in_parallel(partial(_cost, subject=subject, block=block, caller=caller), range(len(subject.maps))))
        for number in in_full:
            costs[number] = costs[number][:1] * len(costs[number])
        plan = plan_steps(costs, room)
        if plan is not None or block >= max(n_q, n_k):
            break
        block *= 2
    steps = plan.steps if plan is not None else (MOST_STEPS,) * len(subject.maps)
    return _coded(subject, block, steps, strongest, caller)


def _cost(number: int, subject: Subject, block: int, caller: str) -> list[float]:
    return cost_of(_read(number, subject, block, caller))


def _read(number: int, subject: Subject, block: int, caller: str) -> Grids:
    name = name_of(subject.axes, subject.places[number])
    return grids_of(subject.maps[number], block, name, caller)


def _exact(subject: Subject, caller: str) -> Contents:
    grids = [_read(number, subject, 1, caller) for number in range(len(subject.maps))]
    maps = [{"largest": packed_numbers(each.largest), "mean": None, **_summary(each)} for each in grids]
    detail = {"block": 1, "exact": True, "fewestSteps": None, "mostSteps": None, "strongest": 0}
    return Contents(maps, grids[0].row_edges, grids[0].column_edges, detail)


def _coded(subject: Subject, block: int, steps: Sequence[int], strongest: int, caller: str) -> Contents:
    edges: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def entry(number: int) -> dict[str, Any]:
        grids = _read(number, subject, block, caller)
        if number == 0:
            edges.append((grids.row_edges, grids.column_edges))
        mean = None if grids.mean is None else packed_codes(encode(grids.mean, steps[number]))
        return {
            "largest": packed_codes(encode(grids.largest, steps[number])),
            "mean": mean,
            **_summary(grids),
            **({"strongest": _strongest(subject.maps[number], strongest)} if strongest else {}),
        }

    maps = list(in_parallel(entry, range(len(subject.maps))))
    shown_block = edges[0][0][1] - edges[0][0][0]
    detail = {
        "block": shown_block,
        "exact": False,
        "fewestSteps": min(steps),
        "mostSteps": max(steps),
        "strongest": strongest,
    }
    return Contents(maps, *edges[0], detail)


def _num_strongest(num_rows: int, n_k: int, room: float) -> int:
    """Return how many of the largest weights of each row are kept on their own."""
    if n_k > np.iinfo(np.uint16).max:
        return 0
    fitting = (k for k in _STRONGEST if k < n_k and num_rows * k * 4 * BASE64 <= _SHARE_OF_STRONGEST * room)
    return next(fitting, 0)


def _strongest(shown: Map, count: int) -> dict[str, Any]:
    """Return the columns and the weights of the largest of each row, two bytes each."""
    assert isinstance(shown, torch.Tensor)
    values, columns = shown.float().topk(count, dim=-1)
    top = float(values.max())
    codes = (values.numpy() * (65535 / top if top else 0.0)).round().astype("<u2")
    return {"count": count, "top": top, "data": packed(columns.numpy().astype("<u2").tobytes() + codes.tobytes())}


def _summary(grids: Grids) -> dict[str, Any]:
    """Return the largest weight, the column of cells that gets most, its share, and the largest weight elsewhere."""
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
        "sink": {"column": sink, "share": float(received[sink]) / total if total else 0.0, "topElsewhere": elsewhere},
    }
