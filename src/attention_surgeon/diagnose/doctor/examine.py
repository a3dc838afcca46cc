"""Putting one question to the diagnosis, and judging its answer."""

import dataclasses
import itertools
import random
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import numpy as np

from attention_surgeon.diagnose.doctor.healthy import Alternative
from attention_surgeon.diagnose.doctor.report import RIGHT, Nearest, Outcome, Result
from attention_surgeon.diagnose.doctor.targets import Kind, find_kind, target_with
from attention_surgeon.diagnose.explain import NUM_PROBES, Explanation, explain
from attention_surgeon.diagnose.hypotheses import SEEN_AT_EXTREMES, are_compatible, singles
from attention_surgeon.diagnose.judge import diagnose
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.faults import Fault, faults_of, with_faults
from attention_surgeon.testing import Answer, Subject, same_answer
from attention_surgeon.testing.answer import ABSOLUTE, RELATIVE, raised
from attention_surgeon.verdict import Verdict

Answers = tuple[Answer, ...]

_NOT_A_NUMBER, _INFINITE = 1e30, 2e30
"""Stand for NaN and infinity, far from every number and from each other."""


class KindAnswers:
    """What is asked of one kind of target again and again: its faults, and what circuits with them answer."""

    def __init__(self, kind: Kind) -> None:
        """Bind a right target of the kind."""
        self.kind, self.contract = kind, kind.make_contract()
        self.subject: Subject = self.contract.bind(target_with(kind))
        self.computed = [f for f in singles(self.subject) if f.name not in kind.cannot_have]
        self.right = self.answers(())
        self._known: dict[Hashable, list[Answers]] = {}

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that targets of this kind can have, each once."""
        offered = {f.name: f for family in sorted(self.subject.families) for f in faults_of(family)}
        offered = {f.name: f for f in reversed(self.subject.faults(tuple(offered.values())))}
        return tuple(f for f in reversed(offered.values()) if f.name not in self.kind.cannot_have)

    @property
    def pairs(self) -> list[tuple[Fault, Fault]]:
        """Every two faults that can be in one circuit."""
        computed = {fault.name for fault in self.computed}
        usual = [fault for fault in self.faults if fault.name in computed]
        return [pair for pair in itertools.combinations(usual, 2) if are_compatible(pair)]

    def answers(self, faults: Sequence[Fault], subject: Subject | None = None) -> Answers:
        """Return what a circuit with these faults answers to every call of every probe.

        Args:
            faults: In the circuit.
            subject: Whose calls are made; None: those of the right target.
        """
        subject = subject or self.subject
        circuit = with_faults(subject.base, faults)
        return tuple(subject.answer(circuit, case) for probe in range(NUM_PROBES) for case in subject.cases(probe))

    def is_distinguishable(self, answers: Answers, subject: Subject) -> bool:
        """Whether these answers, where there are any, differ from right ones and from those of each single fault."""
        answered = [place for place, answer in enumerate(answers) if answer.error is None]

        def is_told_from(others: Answers) -> bool:
            return not all(same_answer(answers[place], others[place]) for place in answered)

        return all(is_told_from(others) for others in self.answers_of_singles(subject))

    def answers_of_singles(self, subject: Subject) -> list[Answers]:
        """Return the answers of what is right and of each of `computed`, for subjects that are called alike."""
        if subject.key not in self._known:
            self._known[subject.key] = [self.answers(some, subject) for some in ((), *((f,) for f in self.computed))]
        return self._known[subject.key]


@lru_cache(maxsize=64)
def answers_of_kind(kind: str) -> KindAnswers:
    """Return what is asked of a kind, and its answers."""
    return KindAnswers(find_kind(kind))


def are_same(some: Answers, others: Answers) -> bool:
    """Whether two circuits give the same answers to all calls."""
    return all(same_answer(a, b) for a, b in zip(some, others, strict=True))


def drawn_pairs(kind: str, number: int | None) -> list[tuple[Fault, Fault]]:
    """Return that many pairs, always the same ones; None: all."""
    pairs = answers_of_kind(kind).pairs
    return pairs if number is None or number >= len(pairs) else random.Random(kind).sample(pairs, number)


def examine_single(kind: str, fault: Fault) -> Outcome:
    """Diagnose a target with one fault."""
    return _or_crash(lambda: _examine_single(kind, fault), Outcome(kind, "single", (fault.name,), "crashed"))


def examine_pair(kind: str, pair: tuple[Fault, Fault]) -> Outcome:
    """Explain a target with two faults."""
    crashed = Outcome(kind, "pair", (pair[0].name, pair[1].name), "crashed")
    return _or_crash(lambda: _examine_pair(kind, pair), crashed)


def examine_alternative(alternative: Alternative) -> Outcome:
    """Diagnose right code."""
    options = [f"{name}={value}" for name, value in alternative.options.items()]
    judged = Outcome(alternative.contract, "valid", (alternative.name, *options), "crashed")
    return _or_crash(lambda: _examine_alternative(alternative, judged), judged)


def _or_crash(examine: Callable[[], Outcome], crashed: Outcome) -> Outcome:
    """Return the outcome; where the diagnosis itself raises, that is the outcome."""
    try:
        return examine()
    except Exception as error:  # noqa: BLE001  a mistake of ours is what is looked for
        return dataclasses.replace(crashed, said=f"the diagnosis raises {raised(error).error}")


def diagnose_single(own: KindAnswers, fault: Fault) -> tuple[Result, Verdict]:
    """Diagnose a target with one fault, and return what that is worth with what was said.

    Raises:
        SurgeonError: as `diagnose`.
    """
    found = diagnose(target_with(own.kind, (fault,)), own.contract)
    if found.names_all(fault.name) and found.verdict == "wrong":
        return ("tied" if found.ties else "named"), found
    if fault.operate is not None and fault.stage != "state" and fault.name not in SEEN_AT_EXTREMES:
        answers = own.answers((fault,))
        if found.verdict == "right" and are_same(answers, own.right):
            return "same", found
        if found.verdict != "right" and all(answer.error is not None for answer in answers):
            return "raises", found
    return ("accepted" if found.verdict == "right" else "unnamed"), found


def _examine_single(kind: str, fault: Fault) -> Outcome:
    result, found = diagnose_single(answers_of_kind(kind), fault)
    ties = " / ".join(" + ".join(names) for names in found.ties)
    said = {"tied": ties, "accepted": in_words(found), "unnamed": in_words(found)}.get(result, "")
    return Outcome(kind, "single", (fault.name,), result, said)


def _examine_pair(kind: str, pair: tuple[Fault, Fault]) -> Outcome:
    own, names = answers_of_kind(kind), (pair[0].name, pair[1].name)
    try:
        subject = own.contract.bind(target_with(find_kind(kind), pair))
    except UnjudgedError as error:
        is_silent = all(answer.error is not None for answer in own.answers(pair))
        return Outcome(kind, "pair", names, "raises" if is_silent else "unnamed", str(error))
    answers = _as_returned(own.answers(pair, subject), subject)
    if all(answer.error is not None for answer in answers):
        return Outcome(kind, "pair", names, "raises")
    if not own.is_distinguishable(answers, subject):
        return Outcome(kind, "pair", names, "same")
    found = explain(subject)
    said = [{fault.name for fault in hypothesis} for hypothesis in found.hypotheses]
    if any({*names} <= some for some in said):
        return Outcome(kind, "pair", names, "tied" if len(said) > 1 else "named")
    return Outcome(kind, "pair", names, "accepted" if set() in said else "unnamed", _explained(found))


def _as_returned(answers: Answers, subject: Subject) -> Answers:
    """Leave out the values that the target does not return where weights are expected, so that nobody can see them."""
    cases = (case for probe in range(NUM_PROBES) for case in subject.cases(probe))
    returned = (subject.ask(case).values for case in cases)
    return tuple(
        dataclasses.replace(
            answer,
            values=tuple(None if theirs is None else ours for ours, theirs in zip(answer.values, some, strict=False)),
        )
        for answer, some in zip(answers, returned, strict=True)
    )


def _examine_alternative(alternative: Alternative, judged: Outcome) -> Outcome:
    found = diagnose(alternative.target, alternative.make_contract())
    if found.verdict == "right":
        return dataclasses.replace(judged, result="accepted")
    return dataclasses.replace(judged, result="rejected", said=in_words(found))


def in_words(found: Verdict) -> str:
    """Say in a line what a diagnosis said."""
    if found.verdict == "unjudged":
        return f"not judged: {found.reason}"
    if found.verdict == "right":
        return "right"
    names = " / ".join(" + ".join(names) for names in found.ties or [found.names] if names)
    return " · ".join(filter(None, [names or "wrong, not recognised", "; ".join(found.unnamed)]))


def _explained(found: Explanation) -> str:
    some = (" + ".join(fault.name for fault in hypothesis) or "right" for hypothesis in found.hypotheses)
    return " / ".join(some) or "wrong, not recognised"


def nearest_faults(own: KindAnswers) -> Nearest | None:
    """Return the two single faults that lie closest together, no fault at all being one; None where there are not two.

    Two that are the same function lie within the tolerance and are no two faults here. Distances are in tolerances:
    a difference of `ABSOLUTE + RELATIVE |number|` is one.
    """
    right, *wrong = own.answers_of_singles(own.subject)
    named = zip((fault.name for fault in own.computed), wrong, strict=True)
    rows = dict(reversed([*named])) | {RIGHT: right}
    groups: dict[object, list[str]] = {}
    for name, answers in rows.items():
        groups.setdefault(_shape_of(answers), []).append(name)
    found = (_nearest_of(names, np.stack([_numbers(rows[name]) for name in names])) for names in groups.values())
    distance, first, second = min(filter(None, found), default=(None, "", ""))
    return None if distance is None else Nearest(own.kind.name, (first, second), distance * RELATIVE, RELATIVE)


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
