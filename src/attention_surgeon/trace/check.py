"""What a check says."""

from dataclasses import dataclass
from typing import NamedTuple, final


class Finding(NamedTuple):
    """Whether it holds, and the figures that say so."""

    passed: bool
    detail: str


@final
@dataclass(frozen=True)
class Check:
    """One thing that was verified about a trace.

    Attributes:
        step: The tensor it is about: "query", ..., "output".
        name: What was checked, in one or two words.
        passed: Whether it holds.
        detail: The figures, as half a sentence.
    """

    step: str
    name: str
    passed: bool
    detail: str
