"""What was found: a verdict, the faults by name, the first step that differs, and the smallest counterexample."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from attention_surgeon.faults import STAGES, Fault, find_fault
from attention_surgeon.testing.answer import Array
from attention_surgeon.testing.contract import Conduct

Verdict: TypeAlias = Literal["right", "wrong", "unjudged"]


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
        contract_name: The name of the contract.
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
