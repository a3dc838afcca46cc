"""The verdict on one version of one exercise, as plain data that goes through JSON and needs no torch to be shown."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, final

Status: TypeAlias = Literal["passed", "mistake", "unfinished", "untouched", "stopped"]
"""`stopped`: it could not be judged, because it is no Python, does not end, crashes, or is not the learner's own."""


@final
@dataclass(frozen=True)
class Named:
    """A mistake in words.

    Attributes:
        name: In the catalogue, or the one that the unit's check gave.
        stage: The step that it replaces; empty for a check's own.
        summary: What it is.
        symptom: What somebody sees who prints numbers.
        question: The first level.
        pointer: The second.
        fix: The third, as code.
        sightings: Where it really happened.
        seen: What was seen of it in how the code behaves.
    """

    name: str
    stage: str = ""
    summary: str = ""
    symptom: str = ""
    question: str = ""
    pointer: str = ""
    fix: str = ""
    sightings: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        exercise: Its name.
        path: The learner's file, relative to the workspace.
        object: The function or class.
        sha256: Of the very bytes that were judged.
        saved: When the file was last written, as ISO 8601.
        status: See `Status`.
        sentence: What happened, for everything but `passed` and recognised mistakes.
        line: Where in the file, if that is known.
        mistakes: In the order of the pipeline.
        ties: The names of every explanation, where there is more than one.
        unnamed: What was seen that has no name.
        step: The first step that differs.
        right_before: The steps before it that are right.
        call: The call it was seen in.
        yours: The matrix there.
        expected: What is right there.
        example: The smallest call that shows it: `inputs`, `what`, `yours`, `expected`.
        remarks: True and worth knowing, but no mistake.
        contract: What it was judged as, in words.
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
    mistakes: tuple[Named, ...] = ()
    ties: tuple[tuple[str, ...], ...] = ()
    unnamed: tuple[str, ...] = ()
    step: str = ""
    right_before: tuple[str, ...] = ()
    call: str = ""
    yours: Any = None
    expected: Any = None
    example: Mapping[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    contract: str = ""
    printed: str = ""
    seconds: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mistakes."""
        return tuple(mistake.name for mistake in self.mistakes)

    @property
    def behaviour(self) -> str:
        """Equal for two versions that do the same, however they are written."""
        seen = (self.status, self.names, self.unnamed, self.step, self.yours, self.example, self.sentence)
        return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self) | {"behaviour": self.behaviour}


def verdict_from_dict(values: Mapping[str, Any]) -> Verdict:
    """Return the verdict whose `as_dict` this is.

    >>> one = Verdict("a.b", "a/b.py", "f", "0", "", "mistake", mistakes=(Named("scale_missing"),))
    >>> verdict_from_dict(one.as_dict()) == one
    True
    """
    known = {each.name for each in fields(Verdict)}
    plain = {key: _frozen(value) for key, value in values.items() if key in known}
    plain["yours"], plain["expected"] = values.get("yours"), values.get("expected")
    mistakes = tuple(Named(**{key: _frozen(value) for key, value in each.items()}) for each in values["mistakes"])
    return Verdict(**{**plain, "mistakes": mistakes})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
