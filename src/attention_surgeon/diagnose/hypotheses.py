"""What might be wrong: every composition of faults, with the answer that each would give.

A hypothesis is a set of faults of different stages. There are about sixty single ones, two thousand pairs and a few
thousand cheap triples; the answers of all of them to one call are worked out once and kept, so that the next target of
the same kind is compared with a table.
"""

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from attention_surgeon.diagnose.variations import variations
from attention_surgeon.faults import Fault, Stage, faults_of, with_faults
from attention_surgeon.testing.answer import RELATIVE, Answer, tolerance_of
from attention_surgeon.testing.contract import Subject

Hypothesis: TypeAlias = tuple[Fault, ...]

MOST_FAULTS = 3
_OF_TRIPLES: frozenset[Stage] = frozenset(("heads", "scale", "mask", "normalise", "merge"))
_IN_EVERY_TRIPLE: frozenset[Stage] = frozenset(("scale", "mask"))
"""Where three meet most. Where a call can do without a mask, its fault is found on its own (`explain`)."""

SEEN_AT_EXTREMES = ("softmax_no_max_subtraction", "global_max_subtracted")
"""Faults that change nothing in an ordinary call; `Subject.behaviour` finds them."""

_NOT_A_NUMBER, _INFINITE = 1.75e37, 3.5e37
"""Stand for NaN and infinity in a table, so that they compare equal to themselves."""


def singles(subject: Subject) -> tuple[Fault, ...]:
    """Return the faults that change what the subject computes; those of its behaviour are looked for otherwise."""
    found = {fault.name: fault for family in sorted(subject.families) for fault in faults_of(family)}
    computed = (fault for fault in found.values() if fault.operate is not None and fault.stage != "state")
    usual = tuple(fault for fault in computed if fault.name not in SEEN_AT_EXTREMES)
    return subject.faults((*usual, *variations(usual)))


def hypotheses(faults: Sequence[Fault], level: int) -> Iterator[Hypothesis]:
    """Yield the hypotheses of `level` faults; three only of a scale, a mask and another of the stages where many meet.

    Two faults of one stage go together only where one of them stands around what the other does.
    """
    if level == MOST_FAULTS:
        faults = [fault for fault in faults if fault.stage in _OF_TRIPLES]
    for some in itertools.combinations(faults, level):
        if are_compatible(some) and (level < MOST_FAULTS or {fault.stage for fault in some} >= _IN_EVERY_TRIPLE):
            yield some


def are_compatible(faults: Hypothesis) -> bool:
    """Whether the faults can be in one circuit without one taking the place of another."""
    places = [fault.stage for fault in faults if not fault.wraps]
    names = [fault.name for fault in faults]
    is_varied = len({fault.stage for fault in faults}) == len(faults) if len(faults) > 2 else True
    return len(set(places)) == len(places) and len(set(names)) == len(names) and is_varied


@dataclass(frozen=True)
class AnswerTable:
    """The answers of many hypotheses to one call.

    Attributes:
        hypotheses: In the order of the rows.
        rows: For each place in the answer and each shape: which hypotheses answer with it, and their numbers.
    """

    hypotheses: tuple[Hypothesis, ...]
    rows: tuple[dict[tuple[int, ...], tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]], ...] = field(repr=False)

    def alike(self, answer: Answer) -> Iterator[Hypothesis]:
        """Yield the hypotheses that answer so."""
        alive: npt.NDArray[np.bool_] | None = None
        for place, value in enumerate(answer.values):
            if value is None or place >= len(self.rows):
                continue
            found = np.zeros(len(self.hypotheses), dtype=bool)
            if value.shape in self.rows[place]:
                which, numbers = self.rows[place][value.shape]
                flat = _comparable(value.ravel())
                found[which] = (np.abs(numbers - flat) <= tolerance_of(value) + RELATIVE * np.abs(flat)).all(axis=1)
            alive = found if alive is None else alive & found
        if alive is not None:
            yield from (self.hypotheses[index] for index in np.flatnonzero(alive))


def make_table(some: Sequence[Hypothesis], answer: Callable[[Hypothesis], Answer]) -> AnswerTable:
    """Work out what each hypothesis answers."""
    places: list[dict[tuple[int, ...], tuple[list[int], list[Any]]]] = []
    for index, hypothesis in enumerate(some):
        for place, value in enumerate(answer(hypothesis).values):
            while len(places) <= place:
                places.append({})
            if value is not None:
                which, numbers = places[place].setdefault(value.shape, ([], []))
                which.append(index)
                numbers.append(value.ravel())
    stacked = ({shape: (np.array(i), np.stack(x)) for shape, (i, x) in place.items()} for place in places)
    rows = tuple({shape: (i, _comparable(x, copy=False)) for shape, (i, x) in place.items()} for place in stacked)
    return AnswerTable(tuple(some), rows)


class Tables:
    """The tables of one kind of subject, made when they are first needed."""

    def __init__(self) -> None:
        """Start without any."""
        self._made: dict[tuple[int, int, int, str], AnswerTable] = {}

    def table(self, subject: Subject, level: int, probe: int, variant: int, case: Any) -> AnswerTable:
        """Return the answers of all hypotheses of `level` faults, put into a variant of what is right, to one call."""
        known = (level, probe, variant, case.name)
        if known not in self._made:
            base, some = subject.variants()[variant], tuple(hypotheses(singles(subject), level))
            self._made[known] = make_table(some, lambda h: subject.answer(with_faults(base, h), case))
        return self._made[known]


@lru_cache(maxsize=32)
def tables(key: Hashable) -> Tables:
    """Return the tables for subjects with this key."""
    return Tables()


def _comparable(value: npt.NDArray[np.float64], *, copy: bool = True) -> npt.NDArray[np.float64]:
    return np.nan_to_num(value, copy, nan=_NOT_A_NUMBER, posinf=_INFINITE, neginf=-_INFINITE)
