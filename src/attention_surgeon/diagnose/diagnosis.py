"""What was found: a verdict, the faults by name, the first step that differs, and the smallest counterexample."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from attention_surgeon.faults import STAGES, Fault, find_fault
from attention_surgeon.testing.answer import Array
from attention_surgeon.testing.contract import Conduct
from attention_surgeon.verdict import Location

Verdict: TypeAlias = Literal["right", "wrong", "unjudged"]

_MOST_ROWS = 4


@dataclass(frozen=True)
class Difference:
    """Where the target first parts from what is right.

    Attributes:
        step: `scores`, `scaled`, `masked`, `weights`, `output`, or another value of the contract.
        right_before: The steps before it, which are right.
        call: The call it was seen in, in words.
        yours: One matrix `(rows, columns)` of that step.
        expected: The same where everything is right; another shape where the shapes differ.
    """

    step: str
    right_before: tuple[str, ...]
    call: str
    yours: Array
    expected: Array


@dataclass(frozen=True)
class Counterexample:
    """The smallest call that shows it: few tokens, whole numbers.

    Attributes:
        inputs: The inputs as Python that can be pasted.
        what: Which value is compared, `output`.
        yours: What the target gives, or its error in words.
        expected: What is right.
    """

    inputs: str
    what: str
    yours: Array | str
    expected: Array


@dataclass(frozen=True)
class Diagnosis:
    """The answer to one question: is it right, and if not, what exactly is wrong.

    Attributes:
        verdict: `right`, `wrong` or `unjudged`.
        contract: What it was judged as, in words.
        explanations: Sets of faults that give the same answers, first by stage; more than one set where they are the
            same function on every probe. Empty where it is right, or where nothing in the catalogue answers alike.
        conduct: What else was seen: faults of behaviour, and remarks.
        difference: The first step that differs, where one could be found.
        counterexample: The smallest call that shows it, where one was found.
        called_with: The first call, in words.
        calls: Every call of a probe, by name.
        reason: Why it could not be judged.
        seconds: How long it took.
        contract_name: The name of the contract; empty where it was judged by what its own code promises.
        kind: What it is, in words: `causal attention`, `rotary positions (halves, base 10000)`.
        untried: The arguments that were never given a value.
        location: The line of the target's file that is wrong first.
    """

    verdict: Verdict
    contract: str
    explanations: tuple[tuple[Fault, ...], ...] = ()
    conduct: tuple[Conduct, ...] = ()
    difference: Difference | None = None
    counterexample: Counterexample | None = None
    called_with: str = ""
    calls: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    contract_name: str = ""
    kind: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    location: Location | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults of the first explanation and those of conduct, in the order of the pipeline."""
        named = dict.fromkeys(self.explanations[0] if self.explanations else ())
        named |= dict.fromkeys(find_fault(seen.fault) for seen in self.conduct if seen.fault and seen.is_fault)
        return tuple(sorted(named, key=lambda fault: STAGES.index(fault.stage)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `faults`."""
        return tuple(fault.name for fault in self.faults)

    @property
    def ties(self) -> tuple[tuple[str, ...], ...]:
        """The names of every explanation, where there is more than one."""
        if len(self.explanations) < 2:
            return ()
        return tuple(tuple(fault.name for fault in faults) for faults in self.explanations)

    @property
    def is_recognised(self) -> bool:
        """Whether what is wrong has a name."""
        return self.verdict != "wrong" or bool(self.faults)

    def names_all(self, *names: str) -> bool:
        """Whether it names all of these: in one explanation (a tie counts), together with the faults of conduct."""
        seen = {conduct.fault for conduct in self.conduct if conduct.is_fault}
        return any(set(names) <= seen | {f.name for f in faults} for faults in (*self.explanations, ()))

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "contract": self.contract,
            "contract_name": self.contract_name,
            "called_with": self.called_with,
            "calls": list(self.calls),
            "faults": list(self.names),
            "summaries": {
                fault.name: fault.summary for faults in (self.faults, *self.explanations) for fault in faults
            },
            "explanations": [[fault.name for fault in faults] for faults in self.explanations],
            "ties": [list(names) for names in self.ties],
            "conduct": [{"fault": c.fault, "evidence": c.evidence, "is_fault": c.is_fault} for c in self.conduct],
            "difference": _difference_as_dict(self.difference),
            "counterexample": _counterexample_as_dict(self.counterexample),
            "kind": list(self.kind),
            "untried": list(self.untried),
            "location": None if self.location is None else asdict(self.location),
            "reason": self.reason,
            "seconds": round(self.seconds, 4),
        }


def _difference_as_dict(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "step": difference.step,
        "right_before": list(difference.right_before),
        "call": difference.call,
        "yours": _plain(difference.yours),
        "expected": _plain(difference.expected),
    }


def _counterexample_as_dict(example: Counterexample | None) -> dict[str, Any] | None:
    if example is None:
        return None
    yours = example.yours if isinstance(example.yours, str) else _plain(example.yours)
    return {"inputs": example.inputs, "what": example.what, "yours": yours, "expected": _plain(example.expected)}


def _plain(values: Array) -> Any:
    """Return nested lists; NaN and infinities, which JSON does not have, as text."""
    return _as_json(values.tolist())


def _as_json(values: Any) -> Any:
    if isinstance(values, list):
        return [_as_json(row) for row in values]
    return round(values, 6) if abs(values) < float("inf") else str(values)


def diagnosis_from_dict(data: Mapping[str, Any]) -> Diagnosis:
    """Return the diagnosis whose `as_dict` this is; numbers have the six decimals that were written.

    >>> diagnosis_from_dict(Diagnosis("unjudged", "attention", reason="it answers no call").as_dict()).reason
    'it answers no call'
    """

    def fault(name: str) -> Fault:
        return dataclasses.replace(find_fault(name), summary=data["summaries"][name])

    difference, example = data["difference"], data["counterexample"]
    return Diagnosis(
        verdict=data["verdict"],
        contract=data["contract"],
        contract_name=data["contract_name"],
        explanations=tuple(tuple(fault(name) for name in names) for names in data["explanations"]),
        conduct=tuple(Conduct(**seen) for seen in data["conduct"]),
        difference=None if difference is None else _difference_from(**difference),
        counterexample=None if example is None else _example_from(**example),
        called_with=data["called_with"],
        calls=tuple(data["calls"]),
        reason=data["reason"],
        seconds=data["seconds"],
        kind=tuple(data["kind"]),
        untried=tuple(data["untried"]),
        location=None if data["location"] is None else Location(**data["location"]),
    )


def _difference_from(step: str, right_before: list[str], call: str, yours: Any, expected: Any) -> Difference:
    return Difference(step, tuple(right_before), call, _array(yours), _array(expected))


def _example_from(inputs: str, what: str, yours: Any, expected: Any) -> Counterexample:
    return Counterexample(inputs, what, yours if isinstance(yours, str) else _array(yours), _array(expected))


def _array(values: Any) -> Array:
    """Return nested lists as an array; NaN and infinities stand there as text."""
    return np.asarray(values).astype(np.float64)


def as_text(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as lines of text.

    >>> print(as_text(Diagnosis("right", "attention")))
    RIGHT as attention
    """
    return "\n".join(_lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.verdict == "unjudged":
        yield f"COULD NOT BE JUDGED as {diagnosis.contract}: {diagnosis.reason}"
        return
    yield f"{diagnosis.verdict.upper()} as {diagnosis.contract}"
    for fault in diagnosis.faults:
        yield f"  {fault.name} ({fault.stage}): {fault.summary}"
        yield f"    {fault.pointer}"
        if fault.sightings:
            yield f"    seen in the wild: {' · '.join(map(str, fault.sightings))}"
    if diagnosis.ties:
        yield f"  the same function here: {' or '.join(' + '.join(names) for names in diagnosis.ties)}"
    if not diagnosis.is_recognised:
        yield "  this mistake is not in the catalogue"
    yield from (f"  {'' if seen.is_fault else 'remark: '}{seen.evidence}" for seen in diagnosis.conduct)
    if diagnosis.difference is not None:
        yield from _difference_lines(diagnosis.difference)
    if diagnosis.counterexample is not None:
        yield from _example_lines(diagnosis.counterexample)


def _difference_lines(difference: Difference) -> Iterator[str]:
    before = f" ({', '.join(difference.right_before)} right)" if difference.right_before else ""
    yield f"  the first step that differs: {difference.step}{before}, in the call {difference.call}"
    yield from _pair(difference.yours, difference.expected)


def _example_lines(example: Counterexample) -> Iterator[str]:
    yield "  the smallest call that shows it:"
    yield from (f"    {line}" for line in example.inputs.splitlines())
    if isinstance(example.yours, str):
        yield f"    it raises {example.yours}"
    else:
        yield f"    {example.what}:"
        yield from _pair(example.yours, example.expected)


def _pair(yours: Array, expected: Array) -> Iterator[str]:
    for name, matrix in (("yours", yours), ("expected", expected)):
        rows = np.atleast_2d(matrix)
        for index, row in enumerate(rows[:_MOST_ROWS]):
            yield f"    {name if index == 0 else '':<9}{'  '.join(f'{number:8.4g}' for number in row[:9])}"
        if len(rows) > _MOST_ROWS:
            yield f"    {'':<9}({len(rows) - _MOST_ROWS} more row{'s' if len(rows) > _MOST_ROWS + 1 else ''})"
