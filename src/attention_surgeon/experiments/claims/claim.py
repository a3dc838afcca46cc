"""One statement of the course, and the measurement that decides about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, final

from attention_surgeon.experiments.result import Record, Records, Result
from attention_surgeon.experiments.runs import SavedRun

Status: TypeAlias = Literal["holds", "holds only if", "does not hold", "contradicts itself", "not measured"]


Measured: TypeAlias = Result | SavedRun
"""What a judge looks at: records and tables, fresh or from a file."""


class Judgement(NamedTuple):
    """What was decided, and the figures that decided it."""

    status: Status
    figures: str


Judge: TypeAlias = Callable[[Measured], Judgement]


@final
@dataclass(frozen=True)
class Claim:
    """A statement, and how it is decided.

    Attributes:
        unit: Unit of the course that makes it.
        said: What is said, in our words.
        experiment: Which one decides; None where none does.
        judge: From what the experiment measured to a judgement; None with no experiment.
        why: Why there is none.
    """

    unit: str
    said: str
    experiment: str | None = None
    judge: Judge | None = None
    why: str = ""

    def decide(self, found: Mapping[str, Measured]) -> Judgement:
        """Return the judgement; `found` holds what each experiment measured with its full settings, by name."""
        if self.experiment is None or self.judge is None:
            return Judgement("not measured", self.why)
        if self.experiment not in found:
            return Judgement("not measured", f"{self.experiment} was not run with its full settings")
        return self.judge(found[self.experiment])


def where(records: Records, **wanted: object) -> list[Record]:
    """Return the records that have the wanted entries.

    >>> where(({"a": 1, "b": 2}, {"a": 3, "b": 2}), a=3)
    [{'a': 3, 'b': 2}]
    """
    return [row for row in records if all(row[name] == value for name, value in wanted.items())]


def holds(is_so: bool, figures: str) -> Judgement:
    """Return "holds" or "does not hold"."""
    return Judgement("holds" if is_so else "does not hold", figures)


def holds_if(is_so: bool, is_so_without: bool, condition: str, figures: str) -> Judgement:
    """Return "holds" if it is so with and without the condition, "holds only if" if only with it."""
    if is_so and is_so_without:
        return Judgement("holds", figures)
    return Judgement("holds only if", f"{condition}: {figures}") if is_so else Judgement("does not hold", figures)
