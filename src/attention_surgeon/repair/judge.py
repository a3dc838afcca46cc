"""What a search asks of a judge, and nothing else does it know of it: how right is this object?

Three questions, from cheap to thorough: `probe` (a few calls), `is_right` (the whole judge), `holds` (numbers and sizes
that neither the search nor the judge has used).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from attention_surgeon.verdict import Location, Verdict


@dataclass(frozen=True)
class Probe:
    """How far from right an object is on a few calls; the smaller the better.

    Attributes:
        num_left: How many of the faults that were found are still there; one more than those where nobody knows.
        num_wrong: How many calls are answered wrongly.
        distance: The mean distance of their answers, 0 to 2.
        left: The names of the faults that are left, where they are known.
    """

    num_left: int
    num_wrong: int = 0
    distance: float = 0.0
    left: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether every call was answered rightly."""
        return self.num_left == 0

    @property
    def size(self) -> tuple[int, int, float]:
        """What makes one probe better than another."""
        return self.num_left, self.num_wrong, self.distance


class Judge(ABC):
    """Judges candidates as the first object was judged.

    Attributes:
        first: What was found about the object before anything is mended.
        places: The lines of its file that the judge saw to be wrong.
        words: Names in its text that what is wrong has to do with: an argument, a switch.
        handed: Names of classes of its file that the judge hands it objects of, where they may be what is wrong.
        longest: CPU seconds that a candidate may take.
    """

    first: Verdict
    places: tuple[Location, ...] = ()
    words: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    longest: float = 1.5

    @property
    @abstractmethod
    def is_named(self) -> bool:
        """Whether the faults are known by name, so that progress can be told exactly."""

    @abstractmethod
    def probe(self, target: Any, *, closely: bool) -> Probe | None:
        """Ask a few calls.

        Args:
            target: A candidate.
            closely: Also measure one that is wrong in a way that no part of the faults explains; it takes every call.

        Returns:
            None where it cannot be asked; or, not closely, where it is as wrong as before or wrong in another way.
        """

    @abstractmethod
    def is_right(self, target: Any) -> bool:
        """Whether the whole judge finds nothing wrong."""

    @abstractmethod
    def names_left(self, target: Any) -> tuple[str, ...]:
        """Return what the whole judge finds wrong, by name; empty where it has none."""

    @abstractmethod
    def holds(self, target: Any, draw: int = 0) -> bool:
        """Whether it is right on calls of other sizes and numbers than any that were used.

        Args:
            target: A candidate.
            draw: Which of many sets of numbers and sizes.
        """
