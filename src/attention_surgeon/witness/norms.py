"""Norms of queries and keys that are none: along another axis than the features of a head, or multiplied with.

Told from two results of the target: the second is the first times a number for each row, and which number it is says
what was done.
"""

import itertools

import numpy as np

from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.record import Array

_MOST = 64  # results that are looked at; a norm has four to six, a rotation behind it eight


def norm_mistake(flow: Flow, product: int) -> tuple[str, str, int] | None:
    """Return the fault, a sentence and the operation of a wrong norm before a product; None where there is none."""
    first = max((k for k in flow.projections if k < product), default=-1)
    first = max((k for k in flow.projections if k < first), default=first)
    first = max((k for k in flow.projections if k < first), default=first)
    places = [k for k in range(max(first, 0), product) if _is_of_rows(flow.ops[k].value) and not flow.is_constant(k)]
    for one, two in itertools.combinations(places[-_MOST:], 2):
        before, after = flow.ops[one].value, flow.ops[two].value
        if before is not None and after is not None and before.shape == after.shape:
            found = _mistake(before, after)
            if found is not None and flow.reaches(one, two):
                return (*found, two)
    return None


def _is_of_rows(value: Array | None) -> bool:
    return value is not None and value.dtype.kind == "f" and value.ndim >= 3 and value.size > 16


def _mistake(before: Array, after: Array) -> tuple[str, str] | None:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before
    if not np.isfinite(ratio).all() or np.ptp(ratio) < 1e-6 * np.abs(ratio).max():
        return None
    for axis in range(1, before.ndim):
        size = np.sqrt(np.square(before).mean(axis, keepdims=True))
        if before.shape[axis] > 1 and axis < before.ndim - 1 and _is_one_number(ratio * size):
            return "norm_axis_wrong", f"what is normed is axis {axis} of {before.shape}, not the features of a head"
    size = np.sqrt(np.square(before).mean(-1, keepdims=True))
    if _is_one_number(ratio / size):
        return "norm_inverted", "each vector is multiplied with its length, not divided by it"
    return None


def _is_one_number(values: Array) -> bool:
    return bool(np.ptp(values) < 1e-4 * np.abs(values).max())
