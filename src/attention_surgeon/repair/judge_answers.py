"""Judging candidates by their answers, beside those of circuits that have the faults: exact where a contract fits."""

import contextlib
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from attention_surgeon.diagnose.judge import diagnose, diagnose_answers, right_as
from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Fault, find_fault, operate
from attention_surgeon.ops import Operands
from attention_surgeon.repair.judge import Judge, Probe
from attention_surgeon.testing import Contract, Subject, contracts_for, make_contract
from attention_surgeon.testing.answer import Answer, same_answer
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.testing.function_cases import FunctionCase
from attention_surgeon.testing.function_subject import AskableFunction
from attention_surgeon.testing.layer.behaviour import LayerContract
from attention_surgeon.testing.layer.build import LayerSizes
from attention_surgeon.testing.layer.cases import LayerSpec
from attention_surgeon.testing.layer.subject import AskableLayer
from attention_surgeon.testing.steadiness import surroundings_kept

_FARTHEST = 2.0
"""The distance of a call that raises, or whose answer has another shape; between shapes that fit it is 0 to 1."""


_TAKES_ANY_MASK = frozenset(("mask_ignored", "mask_first_only"))
"""Faults of objects that take masks of every form, because they do not look at them."""


class AnswersJudge(Judge):
    """Judges candidates by the contract that the first object was judged by.

    Attributes:
        beside: Another judge that has to agree before a candidate is right.
    """

    beside: Judge | None = None

    def __init__(self, target: Any, contract: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Judge the object that is to be mended.

        Args:
            target: The object.
            contract: What it should be, or None to choose by the kind of object.
            options: Of the contract.
        """
        options = self._options = dict(options or {})
        self._is_chosen_here = contract is None
        self.first = diagnose_answers(target, contract, **options)
        chosen = make_contract(self.first.contract_name, **options)
        others = contracts_for(target, contract, **options) if self.first.verdict == "unjudged" else ()
        self._contracts: Sequence[Contract] = (chosen, *(one for one in others if one != chosen))
        self._faults: Sequence[tuple[Fault, ...]] = [
            tuple(find_fault(mistake.name) for mistake in mistakes) for mistakes in self.first.explanations[:3]
        ]
        self._telling: set[str] = set()
        self._answers: dict[Hashable, tuple[Any, Answer]] = {}
        with surroundings_kept():
            self._asked = asked_of(self._contracts, target)
            self._subject = _bound(self._contracts, target)
        self._worst = 1 + max((len(one) for one in self._faults), default=0)

    @property
    def is_recognised(self) -> bool:
        """Whether what is wrong has a name, in what it computes or in how it behaves."""
        return self.first.status == "wrong" and bool(self.first.mistakes)

    @property
    def is_named(self) -> bool:
        """Whether the faults are known by name, so that progress can be told exactly."""
        return bool(self._faults)

    def probe(self, target: Any, *, closely: bool) -> Probe | None:
        """Ask the calls of the first probe, those that told most so far first."""
        with surroundings_kept():
            subject = self._candidate(target)
            if subject is None:
                return None
            cases = sorted(subject.cases(0), key=lambda case: case.name not in self._telling)
            if not takes_as_much(self._asked, frozenset(case.name for case in cases), self.first.names):
                return None
            wrong = next((case for case in cases if not self._accepts(subject, case)), None)
            if wrong is None:
                return Probe(0)
            self._telling.add(wrong.name)
            left = self._left_in(subject, wrong, cases)
            if left is not None:
                return Probe(len(left), left=tuple(fault.name for fault in left))
            if not closely:
                return None
            distances = [self._distance(subject, case) for case in cases]
            return Probe(self._worst, sum(one > 0 for one in distances), sum(distances) / len(distances))

    def is_right(self, target: Any) -> bool:
        """Whether the whole judge finds nothing wrong."""
        with surroundings_kept():
            is_right = takes_as_much(self._asked, asked_of(self._contracts, target), self.first.names)
            is_right = is_right and any(right_as(contract, target) for contract in self._contracts)
            if is_right and self._is_chosen_here:  # the contract is a guess: a prefix mask is no causal one
                is_right = diagnose(target, **self._options).verdict != "wrong"
        return is_right and (self.beside is None or self.beside.is_right(target))

    def names_left(self, target: Any) -> tuple[str, ...]:
        """Return what the contract and the judge beside find."""
        with surroundings_kept():
            found = diagnose_answers(target, self.first.contract_name, **self._options).names
        return found or (() if self.beside is None else self.beside.names_left(target))

    def holds(self, target: Any, draw: int = 0) -> bool:
        """Whether it is right on calls of other sizes and numbers, in training too; of a layer two sets of sizes."""
        with surroundings_kept():
            for contract in self._contracts:
                try:
                    if _holds(contract, target, draw):
                        return True
                except UnjudgedError:
                    continue
        return False

    def _candidate(self, target: Any) -> Subject | None:
        """Return a candidate that can be asked; of a layer as the first one was asked, which saves most of the time."""
        if isinstance(self._subject, AskableLayer) and _TAKES_ANY_MASK.isdisjoint(self.first.names):
            with contextlib.suppress(SurgeonError):
                return self._subject.again(target)
            return None
        return _bound(self._contracts, target)

    def _left_in(self, subject: Subject, wrong: Any, cases: Iterable[Any]) -> tuple[Fault, ...] | None:
        """Return which of the faults give the answers of this candidate; None where no part of them does."""
        given = subject.ask(wrong)
        for faults in self._faults:
            for size in range(1, len(faults)):
                for some in itertools.combinations(faults, size):
                    if self._answers_as(subject, given, wrong, cases, some):
                        return some
        return None

    def _answers_as(
        self, subject: Subject, given: Answer, wrong: Any, cases: Iterable[Any], faults: tuple[Fault, ...]
    ) -> bool:
        for variant in range(len(subject.variants())):
            if same_answer(given, self._answer(subject, wrong, faults, variant)):
                return all(
                    same_answer(subject.ask(case), self._answer(subject, case, faults, variant)) for case in cases
                )
        return False

    def _accepts(self, subject: Subject, case: Any) -> bool:
        given = subject.ask(case)
        return any(same_answer(given, self._answer(subject, case, (), one)) for one in range(len(subject.variants())))

    def _answer(self, subject: Subject, case: Any, faults: tuple[Fault, ...], variant: int) -> Answer:
        """Return what a circuit with these faults answers; worked out once for all candidates of one kind."""
        key = (subject.key, id(case), faults, variant)
        if key not in self._answers:
            circuit = operate(subject.variants()[variant], faults)
            self._answers[key] = case, subject.answer(circuit, case)  # the case is kept, so that its id stays its own
        return self._answers[key][1]

    def _distance(self, subject: Subject, case: Any) -> float:
        if self._accepts(subject, case):
            return 0.0
        answers = subject.ask(case), self._answer(subject, case, (), 0)
        ours, theirs = (answer.values[0] if answer.values else None for answer in answers)
        if ours is None or theirs is None or ours.shape != theirs.shape or not np.isfinite(ours).all():
            return _FARTHEST
        with np.errstate(all="ignore"):
            gap = float(np.abs(ours - theirs).mean() / (np.abs(theirs).mean() + 1e-12))
        return 1e-3 + gap / (1 + gap)


def _bound(contracts: Iterable[Contract], target: Any) -> Subject | None:
    for contract in contracts:
        try:
            return contract.bind(target)
        except SurgeonError:
            continue
    return None


def asked_of(contracts: Iterable[Contract], target: Any) -> frozenset[str]:
    """Return the calls that can be asked of an object, by name: which forms of masks it takes is tried."""
    subject = _bound(contracts, target)
    return frozenset() if subject is None else frozenset(case.name for case in subject.cases(0))


def takes_as_much(before: Set[str], now: Set[str], faults: Iterable[str]) -> bool:
    """Whether a candidate takes every form of mask that the object takes: one that raises now is not mended.

    What the object ignores it takes in every form; then one form is enough.

    >>> takes_as_much({"plain", "masked n n"}, {"plain"}, ["mask_inverted"])
    False
    >>> takes_as_much({"masked n n", "masked b n n"}, {"masked n n"}, ["mask_ignored"])
    True
    """
    if _TAKES_ANY_MASK.isdisjoint(faults):
        return before <= now
    return any("mask" in name for name in now) or not any("mask" in name for name in before)


def _holds(contract: Contract, target: Any, draw: int) -> bool:
    if isinstance(contract, LayerContract):
        options = contract.kind, contract.mask, contract.scaled, contract.allows_nan_rows
        held_back = _LayerHeldBack(*options, draw) if isinstance(target, type) else contract
        return _layer_holds(held_back.bind(target))
    subject = contract.bind(target)
    later = (*subject.cases(2 * draw + 2), *subject.cases(2 * draw + 3))
    cases = (*_function_cases(subject, draw), *later) if isinstance(subject, AskableFunction) else later
    return all(subject.accepts(subject.ask(case), case) for case in cases) and not _has_faults(subject)


def _layer_holds(subject: Any) -> bool:
    cases = [*subject.cases(0), *subject.cases(1)]
    return all(subject.accepts(subject.ask(case), case) for case in cases) and not _has_faults(subject)


def _has_faults(subject: Subject) -> bool:
    """Whether extremes, gradients, dtypes or dropout show a fault."""
    return any(seen.is_fault for seen in subject.behaviour(subject.base))


@dataclass(frozen=True)
class _LayerHeldBack(LayerSpec):
    """The same layer in sizes that no search has seen; wider heads, longer texts, other numbers."""

    draw: int = field(default=0, repr=False)

    def sizes(self, probe: int) -> LayerSizes:
        """Return sizes of primes that no probe has."""
        more = self.draw % 2
        if self.kind in ("simple", "self"):
            return (LayerSizes(1, 1, 17 + 6 * more, 11, 13, 3), LayerSizes(1, 1, 19 + 10 * more, 3, 2, 4))[probe % 2]
        if self.kind in ("grouped", "multiquery"):
            shared = 3 if self.kind == "grouped" else 1
            first = LayerSizes(2 * shared, shared, 3 + 8 * more, 11, 5, 4)
            return (first, LayerSizes(3 * shared, shared, 4, 3, 13, 2 + more))[probe % 2]
        return (LayerSizes(5, 5, 3 + 4 * more, 11, 13, 4), LayerSizes(4, 4, 8, 6, 9 + 8 * more, 3))[probe % 2]

    def bind(self, target: Any) -> Any:
        """Bind as the contract itself does."""
        from attention_surgeon.testing.layer.behaviour import LayerSubject

        return LayerSubject(self, target)  # type: ignore[arg-type]


def _function_cases(subject: AskableFunction, draw: int) -> list[FunctionCase]:
    """Return calls of an attention function in sizes and numbers of their own."""
    source, found = generator(90_001 + draw), []
    plain = subject.cases(0)[0].operands
    is_masked = any(case.operands.allowed is not None for case in subject.cases(0))
    is_biased = any(case.operands.bias is not None for case in subject.cases(0))
    is_causal = subject.contract.hides_future
    for n_q, n_k, d_k, d_v in ((3, 11, 19, 5), (11, 13, 3, 23), (6, 6, 6, 6), (1, 17, 7, 2)):
        batch = (4, 5)[: plain.query.ndim - 2]
        query, key = numbers(source, *batch, n_q, d_k), numbers(source, *batch, n_k, d_k)
        value = numbers(source, *batch, n_k, d_v)
        masks = [None, _some_hidden(source, *batch[:1], n_q, n_k)] if is_masked and not is_causal else [None]
        for mask in masks:
            if mask is not None and len(batch) == 2:
                mask = mask[:, None].expand(*batch, n_q, n_k)
            bias = None if mask is None or not is_biased else torch.zeros(mask.shape, dtype=torch.float64)
            operands = Operands(query, key, value, mask, bias, torch.float64)
            found.append(FunctionCase("held back", operands))
    return found


def _some_hidden(source: torch.Generator, *shape: int) -> torch.Tensor:
    """Draw a mask in which every query may attend to one key at least."""
    allowed = torch.rand(*shape, generator=source) < 0.6
    return allowed | (torch.arange(shape[-1]) == torch.arange(shape[-2])[:, None] % shape[-1])
