"""How close together two faults lie on the probes, compared with the tolerance."""

import numpy as np

from attention_surgeon.diagnose.doctor.examine import Answers, Ward
from attention_surgeon.diagnose.doctor.report import RIGHT, Nearest
from attention_surgeon.testing.answer import ABSOLUTE, RELATIVE

_NOT_A_NUMBER, _INFINITE = 1e30, 2e30
"""Stand for NaN and infinity, far from every number and from each other."""


def nearest_faults(ward: Ward) -> Nearest | None:
    """Return the two single faults that lie closest together, no fault at all being one; None where there are not two.

    Two that are the same function lie within the tolerance and are no two faults here. Distances are in tolerances:
    a difference of `ABSOLUTE + RELATIVE |number|` is one.
    """
    right, *wrong = ward.answers_of_singles(ward.subject)
    named = zip((fault.name for fault in ward.computed), wrong, strict=True)
    rows = dict(reversed([*named])) | {RIGHT: right}
    groups: dict[object, list[str]] = {}
    for name, answers in rows.items():
        groups.setdefault(_shape_of(answers), []).append(name)
    found = (_nearest_of(names, np.stack([_numbers(rows[name]) for name in names])) for names in groups.values())
    distance, first, second = min(filter(None, found), default=(None, "", ""))
    return None if distance is None else Nearest(ward.kind.name, (first, second), distance * RELATIVE, RELATIVE)


def _shape_of(answers: Answers) -> object:
    return tuple(None if a.error else tuple(None if v is None else v.shape for v in a.values) for a in answers)


def _numbers(answers: Answers) -> np.ndarray:
    numbers = [
        np.ravel(value) for answer in answers if not answer.error for value in answer.values if value is not None
    ]
    flat = np.concatenate([np.zeros(0), *numbers])
    return np.nan_to_num(flat, nan=_NOT_A_NUMBER, posinf=_INFINITE, neginf=-_INFINITE)


def _nearest_of(names: list[str], rows: np.ndarray) -> tuple[float, str, str] | None:
    """Return the smallest distance above one tolerance, and whose it is."""
    best = None
    for index in range(len(names) - 1):
        later, own = rows[index + 1 :], rows[index]
        apart = (np.abs(later - own) / (ABSOLUTE + RELATIVE * np.abs(own))).max(axis=1, initial=0.0)
        apart[apart <= 1] = np.inf
        closest = int(apart.argmin())
        if best is None or apart[closest] < best[0]:
            best = (float(apart[closest]), names[index], names[index + 1 + closest])
    return best if best is not None and np.isfinite(best[0]) else None
