"""From answers to an explanation: the fewest faults that give the same answers, confirmed on a second probe."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from attention_surgeon.diagnose.hypotheses import (
    MOST_FAULTS,
    Hypothesis,
    are_compatible,
    hypotheses,
    make_table,
    singles,
    tables,
)
from attention_surgeon.diagnose.variations import fitted_faults
from attention_surgeon.faults import with_faults
from attention_surgeon.ops import Circuit
from attention_surgeon.testing.answer import Answer, same_answer
from attention_surgeon.testing.contract import Subject

NUM_PROBES = 2


@dataclass(frozen=True)
class Explanation:
    """What gives the same answers as the subject.

    Attributes:
        hypotheses: Each a set of faults; more than one where they are the same function on every probe. An empty
            set says that it is right; no set at all, that it was not recognised.
        agrees_on_errors: Whether it also raises in the same calls.
        circuit: The first of them as a circuit.
    """

    hypotheses: tuple[Hypothesis, ...]
    agrees_on_errors: bool = True
    circuit: Circuit | None = None


def explain(subject: Subject, probe: int = 0) -> Explanation:
    """Return the simplest explanation of what the subject answers.

    One fault and two are looked for among all; then what explains the calls without a mask together with one fault of
    the mask; then three faults of the stages where they meet most. If nothing gives the same answers, the calls that
    got NaN are set aside and the rest is explained.
    """
    asked = Asked(subject, probe)
    others = [Asked(subject, other) for other in range(NUM_PROBES) if other != probe]
    found = _search(asked, others)
    if found.hypotheses or asked.is_finite or all(fault.name != "nan_rows" for fault in singles(subject)):
        return found
    return _search(asked.where_finite(), [other.where_finite() for other in others])


def explain_by(subject: Subject, names: Sequence[str]) -> Explanation:
    """Return the explanation by faults of these names, one of each; none where they do not give the same answers."""
    asked, *others = (Asked(subject, probe) for probe in range(NUM_PROBES))
    if not asked.answered:
        return Explanation(())
    known = [fault for fault in (*singles(subject), *fitted_faults(subject, 0)) if fault.name in names]
    ways = itertools.product(*([fault for fault in known if fault.name == name] for name in names))
    alive = (h for h in ways if are_compatible(h) and asked.fits(h) and all(other.fits(h) for other in others))
    found = next((h for h in alive if asked.agrees_on_errors(h)), None)
    return Explanation(()) if found is None else Explanation((found,), circuit=asked.circuit(found))


def _search(asked: "Asked", others: "Sequence[Asked]") -> Explanation:
    if not asked.answered:
        return Explanation(())
    imperfect: Explanation | None = None
    for find in _SEARCHES:
        alive = [h for h in find(asked) if asked.fits(h) and all(other.fits(h) for other in others)]
        perfect = tuple(h for h in alive if asked.agrees_on_errors(h))
        if perfect:
            simplest = tuple(_with_numbers(asked, h) for h in _simplest(perfect))
            return Explanation(simplest, circuit=asked.circuit(simplest[0]))
        if alive and imperfect is None:
            simplest = _simplest(alive)
            imperfect = Explanation(simplest, agrees_on_errors=False, circuit=asked.circuit(simplest[0]))
            if alive[0] == ():
                break
    return imperfect or Explanation(())


def _simplest(found: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """Return those with the fewest faults, each set of names once."""
    fewest = min(map(len, found))
    named = {frozenset(fault.name for fault in h): h for h in reversed(found) if len(h) == fewest}
    return tuple(reversed(named.values()))


def _with_numbers(asked: "Asked", hypothesis: Hypothesis) -> Hypothesis:
    """Put the number that was read off into a fault that has one, where the usual number happened to be right."""
    if all(fault.tune is None for fault in hypothesis):
        return hypothesis
    read = {fault.name: fault for fault in reversed(fitted_faults(asked.subject, asked.probe))}
    numbered = tuple(read.get(fault.name, fault) for fault in hypothesis)
    return numbered if asked.fits(numbered) else hypothesis


class Asked:
    """The subject's answers to one probe."""

    def __init__(self, subject: Subject, probe: int) -> None:
        """Ask every call of the probe once."""
        self.subject, self.probe = subject, probe
        self.cases = {case.name: case for case in subject.cases(probe)}
        self.answers: Mapping[str, Answer] = {name: subject.ask(case) for name, case in self.cases.items()}
        self.answered = [name for name, answer in self.answers.items() if answer.error is None]

    def without_masks(self) -> "Asked":
        """Return the same answers to the calls in which everybody may attend to everybody."""
        fewer = copy.copy(self)
        fewer.answered = [name for name in self.answered if self.subject.allowed(self.cases[name]) is None]
        return fewer

    @property
    def has_calls_without_mask(self) -> bool:
        """Whether in some of the calls everybody may attend to everybody."""
        return any(self.subject.allowed(case) is None for case in self.cases.values())

    @property
    def is_finite(self) -> bool:
        """Whether no answer has NaN or infinity in it."""
        return all(is_finite(self.answers[name]) for name in self.answered)

    def where_finite(self) -> "Asked":
        """Return the same answers without those that have NaN or infinity in them."""
        fewer = copy.copy(self)
        fewer.answered = [name for name in self.answered if is_finite(self.answers[name])]
        return fewer

    @property
    def telling(self) -> Any:
        """The answered call that tells most: one with a ragged mask if there is any."""
        name = next((name for name in self.answered if name.startswith("masked")), self.answered[0])
        return self.cases[name]

    def fits(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis gives the same numbers in every call that was answered."""
        return self.circuit(hypothesis) is not None

    def circuit(self, hypothesis: Hypothesis) -> Circuit | None:
        """Return what is right with the faults in it, in the variant that gives the same numbers."""
        variants = (with_faults(variant, hypothesis) for variant in self.subject.variants())
        return next((circuit for circuit in variants if self._fits(circuit)), None)

    def agrees_on_errors(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis raises where the subject does."""
        circuit = with_faults(self.subject.base, hypothesis)
        silent = (case for name, case in self.cases.items() if name not in self.answered)
        return all(self.subject.answer(circuit, case).error is not None for case in silent)

    def _fits(self, circuit: Circuit) -> bool:
        answer = self.subject.answer
        return all(same_answer(self.answers[name], answer(circuit, self.cases[name])) for name in self.answered)


Search: TypeAlias = Callable[[Asked], Iterator[Hypothesis]]


def is_finite(answer: Answer) -> bool:
    """Whether every number of an answer is one."""
    return all(value is None or bool(np.isfinite(value).all()) for value in answer.values)


def _tabled(level: int, variant: int = 0) -> Search:
    def search(asked: Asked) -> Iterator[Hypothesis]:
        """Yield what answers the most telling call alike, of the catalogue as it stands."""
        subject, case = asked.subject, asked.telling
        if variant < len(subject.variants()) and (level < MOST_FAULTS or not asked.has_calls_without_mask):
            table = tables(subject.key).table(subject, level, asked.probe, variant, case)
            yield from table.alike(asked.answers[case.name])

    return search


def _fitted(level: int) -> Search:
    def search(asked: Asked) -> Iterator[Hypothesis]:
        """Yield what answers alike once a number is read off: a constant scale, a fill."""
        subject, case = asked.subject, asked.telling
        fitted = fitted_faults(subject, asked.probe)
        rests = [*hypotheses(singles(subject), level - 1), *([(b,) for b in fitted] if level == 2 else [])]
        some = [(a, *rest) for rest in rests for a in fitted if are_compatible((a, *rest))]
        answer = asked.answers[case.name]
        yield from make_table(some, lambda h: subject.answer(with_faults(subject.base, h), case)).alike(answer)

    return search


def _with_one_fault_of_the_mask(asked: Asked) -> Iterator[Hypothesis]:
    """Yield what explains the calls without a mask, with one more fault that only a mask shows."""
    unmasked = asked.without_masks()
    if not unmasked.answered or len(unmasked.answered) == len(asked.answered):
        return
    subject = asked.subject
    of_masks = [fault for fault in (*singles(subject), *fitted_faults(subject, asked.probe)) if fault.stage == "mask"]
    for find in (_tabled(0), _tabled(1), _fitted(1), _tabled(2), _fitted(2)):
        found = [h for h in find(unmasked) if all(f.stage != "mask" for f in h) and unmasked.fits(h)]
        for hypothesis in found[:_MOST_STARTS]:
            yield from ((*hypothesis, fault) for fault in of_masks if are_compatible((*hypothesis, fault)))


_MOST_STARTS = 12
"""How many explanations of the calls without a mask are gone on from."""

_SEARCHES: tuple[Search, ...] = (
    _tabled(0),
    *(find for level in (1, 2) for find in (_tabled(level), _tabled(level, 1), _fitted(level))),
    _with_one_fault_of_the_mask,
    _tabled(MOST_FAULTS),
)
