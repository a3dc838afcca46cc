"""A fault on a small drawn call: what is right, and what comes out instead."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError
from attention_surgeon.faults.example_calls import Call, Values, calls_for
from attention_surgeon.faults.fault import Fault, with_faults

_LEAST = 1e-5
"""A smaller difference is none to look at."""


@dataclass(frozen=True)
class Example:
    """One matrix of a drawn call, right and wrong.

    Attributes:
        fault: The name of the fault.
        what: Which value it is, such as `weights`.
        call: What was called, in words.
        rows: A name for each row of `healthy`.
        columns: A name for each column.
        healthy: `(rows, columns)`, float64.
        faulty: The same with the fault in it; some faults give another shape.
    """

    fault: str
    what: str
    call: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    healthy: Tensor
    faulty: Tensor


def drawn_example(fault: Fault) -> Example | None:
    """Return what the fault does to a small drawn call; None for a fault that changes no number.

    >>> from attention_surgeon.faults import find_fault
    >>> example = drawn_example(find_fault("softmax_over_queries"))
    >>> example.what, round(example.healthy.sum(-1)[0].item(), 6), round(example.faulty.sum(-2)[0].item(), 6)
    ('weights', 1.0, 1.0)
    """
    if fault.operate is None:
        return None
    for call in calls_for(fault):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)  # dropout is drawn, too
            try:
                wrong = call.run(with_faults(call.base, [fault]))
            except (SurgeonError, RuntimeError, IndexError):  # a fault may not fit every shape
                continue
            right = call.run(call.base)
        for what, healthy in right.items():
            pair = _different_matrices(healthy, wrong[what])
            if pair is not None:
                return Example(fault.name, what, call.words, *_names(call, what, right), *pair)
    return None


def _names(call: Call, what: str, values: Values) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns = call.keys if what != "output" else tuple(str(n) for n in range(values[what].shape[-1]))
    return call.queries, columns


def _different_matrices(healthy: Tensor, faulty: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the first two matrices that differ visibly, or None where none do."""
    healthy, faulty = (torch.atleast_2d(x).double() for x in (healthy, faulty))
    if healthy.shape != faulty.shape:
        return _first(healthy), _first(faulty)
    for index in np.ndindex(healthy.shape[:-2]):
        if not torch.allclose(healthy[index], faulty[index], rtol=0.0, atol=_LEAST, equal_nan=True):
            return healthy[index], faulty[index]
    return None


def _first(x: Tensor) -> Tensor:
    while x.ndim > 2:
        x = x[0]
    return x
