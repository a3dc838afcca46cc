"""What is said of somebody's attention: one mistake, one verdict, for every room. No torch, no terminal.

A catalogue's entry, an exercise's check and the judge all speak of a `Mistake`; whatever was judged gets a `Verdict`,
which goes through JSON and comes back.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

Stage: TypeAlias = Literal[
    "projection",
    "heads",
    "operands",
    "score",
    "scale",
    "mask",
    "normalise",
    "combine",
    "merge",
    "output",
    "state",
    "statistics",
]
"""Where in the pipeline a mistake sits; the earliest is explained first."""

STAGES: tuple[Stage, ...] = get_args(Stage)

Status: TypeAlias = Literal["right", "wrong", "unjudged"]

Level: TypeAlias = Literal["question", "pointer", "fix"]
"""How much is told of a mistake."""

LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Location:
    """A line of somebody's file.

    Attributes:
        file: Its path, as Python knows it.
        line: Counted from 1.
        text: What stands there, without the blanks around it.
    """

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        """As an editor takes it: `attention.py:12`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Sighting:
    """Where a mistake really happened: a public issue or pull request.

    Attributes:
        repository: `owner/name` on GitHub.
        number: Of the issue or pull request.
        kind: `issues` or `pull`, as in the address.
    """

    repository: str
    number: int
    kind: Literal["issues", "pull"] = "issues"

    @property
    def url(self) -> str:
        """The address."""
        return f"https://github.com/{self.repository}/{self.kind}/{self.number}"

    def __str__(self) -> str:
        """As it is cited: `owner/name #7`, or `owner/name PR #7`."""
        return f"{self.repository} {'PR ' if self.kind == 'pull' else ''}#{self.number}"

    @staticmethod
    def read(text: str) -> "Sighting":
        """Return the one that is cited so.

        Raises:
            ValueError: it is no such citation.

        >>> Sighting.read("owner/name PR #7")
        Sighting(repository='owner/name', number=7, kind='pull')
        """
        found = re.fullmatch(r"(\S+) (PR )?#(\d+)", text)
        if found is None:
            raise ValueError(f"{text!r} is no sighting, expected 'owner/name #7' or 'owner/name PR #7'.")
        return Sighting(found[1], int(found[3]), "pull" if found[2] else "issues")


@dataclass(frozen=True)
class Mistake:
    """A mistake in words.

    Attributes:
        name: In the catalogue, or the one that an exercise's check gave.
        stage: The step that it replaces, or what stands around the steps; empty for a check's own.
        summary: What it is, in one sentence that speaks of the code.
        symptom: What somebody sees who prints numbers.
        question: Leads there without saying it.
        pointer: Says where to look.
        fix: The line, as code.
        sightings: Where it really happened.
        seen: What was seen of it in how the code behaves.
    """

    name: str
    stage: Stage | Literal[""] = ""
    summary: str = ""
    symptom: str = ""
    question: str = ""
    pointer: str = ""
    fix: str = ""
    sightings: tuple[Sighting, ...] = ()
    seen: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self) | {"sightings": [str(each) for each in self.sightings], "seen": list(self.seen)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Mistake":
        """Return the mistake whose `as_dict` this is."""
        sightings = tuple(Sighting.read(each) for each in data.get("sightings", ()))
        return Mistake(**{**data, "sightings": sightings, "seen": tuple(data.get("seen", ()))})


@dataclass(frozen=True)
class Behaviour:
    """What was seen in how a target behaves, rather than in what it computes.

    Attributes:
        fault: The name of the mistake in the catalogue, or None for what has no name there.
        evidence: What was seen, in a sentence.
        is_fault: False for a remark: true and worth knowing, but no reason to call the target wrong.
    """

    fault: str | None
    evidence: str
    is_fault: bool = True


@dataclass(frozen=True)
class Difference:
    """Where a target first parts from what is right.

    Attributes:
        step: `scores`, `scaled`, `masked`, `weights`, `output`, or another value of the contract.
        right_before: The steps before it, which are right.
        call: The call it was seen in, in words.
        yours: One matrix `(rows, columns)` of that step; None where only the step is known.
        expected: The same where everything is right; another shape where the shapes differ.
    """

    step: str
    right_before: tuple[str, ...] = ()
    call: str = ""
    yours: Array | None = None
    expected: Array | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        own = {"step": self.step, "right_before": list(self.right_before), "call": self.call}
        return own | {"yours": numbers_as_json(self.yours), "expected": numbers_as_json(self.expected)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Difference":
        """Return the difference whose `as_dict` this is."""
        yours, expected = (numbers_from_json(data[name]) for name in ("yours", "expected"))
        return Difference(data["step"], tuple(data["right_before"]), data["call"], yours, expected)


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

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        yours = self.yours if isinstance(self.yours, str) else numbers_as_json(self.yours)
        return {"inputs": self.inputs, "what": self.what, "yours": yours, "expected": numbers_as_json(self.expected)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Counterexample":
        """Return the example whose `as_dict` this is."""
        yours = data["yours"] if isinstance(data["yours"], str) else as_array(data["yours"])
        return Counterexample(data["inputs"], data["what"], yours, as_array(data["expected"]))


@dataclass(frozen=True)
class Verdict:
    """The answer to one question: is it right, and if not, what exactly is wrong.

    Attributes:
        status: `right`, `wrong` or `unjudged`.
        contract: What it was judged as, in words.
        mistakes: What is wrong and has a name, the earliest of the pipeline first, with what was `seen` of each.
        explanations: Sets of mistakes that give the same answers; more than one set where they are the same function
            on every probe. Empty where it is right, or where nothing in the catalogue answers alike.
        behaviour: What else was seen: mistakes of behaviour, and remarks.
        difference: The first step that differs, where one could be found.
        counterexample: The smallest call that shows it, where one was found.
        called_with: The first call, in words.
        calls: Every call of a probe, by name: what was tried.
        reason: Why it could not be judged.
        seconds: How long it took.
        contract_name: The name of the contract; empty where it was judged by what its own code says it is.
        kind: What it is, in words: `causal attention`, `rotary positions (halves, base 10000)`.
        untried: What was never tried: arguments that got no value, modes, sizes.
        location: The line of the target's file that is wrong first.
        patch: A change of that file that makes it right, as a unified diff that was tried; empty where there is none.
    """

    status: Status
    contract: str = ""
    mistakes: tuple[Mistake, ...] = ()
    explanations: tuple[tuple[Mistake, ...], ...] = ()
    behaviour: tuple[Behaviour, ...] = ()
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
    patch: str = ""

    @property
    def verdict(self) -> Status:
        """The name of `status` until this release."""
        return self.status

    @property
    def faults(self) -> tuple[Mistake, ...]:
        """The name of `mistakes` until this release."""
        return self.mistakes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mistakes."""
        return tuple(mistake.name for mistake in self.mistakes)

    @property
    def ties(self) -> tuple[tuple[str, ...], ...]:
        """The names of every explanation, where there is more than one."""
        if len(self.explanations) < 2:
            return ()
        return tuple(tuple(mistake.name for mistake in mistakes) for mistakes in self.explanations)

    @property
    def remarks(self) -> tuple[str, ...]:
        """True and worth knowing, but no mistake."""
        return tuple(seen.evidence for seen in self.behaviour if not seen.is_fault)

    @property
    def unnamed(self) -> tuple[str, ...]:
        """What was seen that is wrong and has no name."""
        return tuple(seen.evidence for seen in self.behaviour if seen.is_fault and seen.fault is None)

    @property
    def is_recognised(self) -> bool:
        """Whether what is wrong has a name."""
        return self.status != "wrong" or bool(self.mistakes)

    def names_all(self, *names: str) -> bool:
        """Whether it names all of these: in one explanation (a tie counts), together with those of behaviour."""
        seen = {each.fault for each in self.behaviour if each.is_fault}
        return any(set(names) <= seen | {m.name for m in mistakes} for mistakes in (*self.explanations, ()))

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data, for JSON; `verdict_from_dict` reads it."""
        others = {each.name: each for mistakes in self.explanations for each in mistakes if each.name not in self.names}
        return {
            "verdict": self.status,
            "contract": self.contract,
            "contract_name": self.contract_name,
            "called_with": self.called_with,
            "calls": list(self.calls),
            "faults": list(self.names),
            "summaries": {each.name: each.summary for each in (*self.mistakes, *others.values())},
            "mistakes": [mistake.as_dict() for mistake in self.mistakes],
            "other_mistakes": [mistake.as_dict() for mistake in others.values()],
            "explanations": [[mistake.name for mistake in mistakes] for mistakes in self.explanations],
            "ties": [list(names) for names in self.ties],
            "conduct": [asdict(seen) for seen in self.behaviour],
            "difference": self.difference and self.difference.as_dict(),
            "counterexample": self.counterexample and self.counterexample.as_dict(),
            "kind": list(self.kind),
            "untried": list(self.untried),
            "location": self.location and asdict(self.location),
            "patch": self.patch,
            "reason": self.reason,
            "seconds": round(self.seconds, 4),
        }


def verdict_from_dict(data: Mapping[str, Any]) -> Verdict:
    """Return the verdict whose `as_dict` this is; numbers have the six decimals that were written.

    >>> verdict_from_dict(Verdict("unjudged", "attention", reason="it answers no call").as_dict()).reason
    'it answers no call'
    """
    mistakes = tuple(map(Mistake.from_dict, data["mistakes"]))
    named = {each.name: replace(each, seen=()) for each in (*mistakes, *map(Mistake.from_dict, data["other_mistakes"]))}
    difference, example, location = data["difference"], data["counterexample"], data["location"]
    plain = {name: data[name] for name in ("contract", "contract_name", "called_with", "patch", "reason", "seconds")}
    return Verdict(
        status=data["verdict"],
        mistakes=mistakes,
        explanations=tuple(tuple(named[name] for name in names) for names in data["explanations"]),
        behaviour=tuple(Behaviour(**seen) for seen in data["conduct"]),
        difference=None if difference is None else Difference.from_dict(difference),
        counterexample=None if example is None else Counterexample.from_dict(example),
        location=None if location is None else Location(**location),
        **{name: tuple(data[name]) for name in ("calls", "kind", "untried")},
        **plain,
    )


def as_array(values: Any) -> Array:
    """Return nested lists as an array; NaN and infinities stand there as text."""
    return np.asarray(values).astype(np.float64)


def numbers_as_json(values: Array | None) -> Any:
    """Return an array as nested lists; NaN and infinities, which JSON does not have, as text.

    >>> numbers_as_json(np.array([0.25, float("nan")]))
    [0.25, 'nan']
    """
    return None if values is None else _as_json(np.asarray(values).tolist())


def numbers_from_json(values: Any) -> Array | None:
    """Return the array that `numbers_as_json` wrote."""
    return None if values is None else as_array(values)


def _as_json(values: Any) -> Any:
    if isinstance(values, list):
        return [_as_json(row) for row in values]
    return round(values, 6) if abs(values) < float("inf") else str(values)
