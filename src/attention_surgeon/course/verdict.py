"""The verdict on one version of one exercise: which file it was, how the exercise stands, and what was found."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, final

from attention_surgeon.verdict import Mistake, Verdict, verdict_from_dict

Status: TypeAlias = Literal["passed", "mistake", "unfinished", "untouched", "stopped"]
"""`stopped`: it could not be judged, because it is no Python, does not end, crashes, or is not the learner's own."""


@final
@dataclass(frozen=True)
class ExerciseVerdict:
    """What was found of a learner's file.

    Attributes:
        exercise: Its name.
        path: The learner's file, relative to the workspace.
        object: The function or class.
        sha256: Of the very bytes that were judged.
        saved: When the file was last written, as ISO 8601.
        status: See `Status`.
        sentence: What happened, for everything but `passed` and recognised mistakes.
        line: Where in the file, if that is known.
        found: What is said of the code itself; `unjudged` where it was not run.
        printed: What the file printed.
        seconds: From the request to the verdict.
    """

    exercise: str
    path: str
    object: str
    sha256: str
    saved: str
    status: Status
    sentence: str = ""
    line: int | None = None
    found: Verdict = field(default_factory=lambda: Verdict("unjudged"))
    printed: str = ""
    seconds: float = 0.0

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """What is wrong and has a name, in the order of the pipeline."""
        return self.found.mistakes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mistakes."""
        return self.found.names

    @property
    def step(self) -> str:
        """The first step that differs; empty where none is known."""
        return "" if self.found.difference is None else self.found.difference.step

    @property
    def fingerprint(self) -> str:
        """Equal for two versions that do the same, however they are written."""
        plain = self.found.as_dict()
        told = [plain[name] for name in ("faults", "conduct", "difference", "counterexample")]
        return hashlib.sha256(json.dumps([self.status, self.sentence, told]).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON: what was found, with what is known of the file."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "found"}
        told = {"step": self.step, "unnamed": list(self.found.unnamed), "remarks": list(self.found.remarks)}
        return self.found.as_dict() | own | told | {"behaviour": self.fingerprint}


def exercise_verdict_from_dict(values: Mapping[str, Any]) -> ExerciseVerdict:
    """Return the verdict whose `as_dict` this is.

    >>> one = ExerciseVerdict("a.b", "a/b.py", "f", "0", "", "mistake", found=Verdict("wrong", "attention"))
    >>> exercise_verdict_from_dict(one.as_dict()) == one
    True
    """
    known = {each.name for each in fields(ExerciseVerdict)} - {"found"}
    own = {name: value for name, value in values.items() if name in known}
    return ExerciseVerdict(**own, found=_found(values))


def _found(values: Mapping[str, Any]) -> Verdict:
    """Return what is said of the code; of a file that was not run nothing is, and of an older record the mistakes."""
    if "explanations" in values:
        return verdict_from_dict({**values, "seconds": 0.0})
    mistakes = tuple(map(Mistake.from_dict, values.get("mistakes", ())))
    return Verdict("wrong" if mistakes else "unjudged", mistakes=mistakes)
