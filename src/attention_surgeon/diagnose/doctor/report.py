"""What the doctor found out about the diagnosis, as plain records."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Result: TypeAlias = Literal["named", "tied", "unnamed", "accepted", "rejected", "same", "raises", "crashed"]
"""What became of a target. Its faults were `named`, or `tied` with others, or it was called wrong with some of them
`unnamed`; right code, or faulty code by mistake, was `accepted`; right code was `rejected`. Two say that there was
nothing to name: `same`, no call can tell the faults from fewer or none; `raises`, no call gives an answer. And the
diagnosis may have `crashed`."""

LEAST_PAIRS_NAMED = 0.95
"""The share of distinguishable pairs that must be named; of single faults and right code it is all."""

RIGHT = "right"
"""Stands among faults for none."""

_FINE: dict[str, tuple[Result, ...]] = {
    "single": ("named", "tied", "same", "raises"),
    "pair": ("named", "tied", "same", "raises"),
    "valid": ("accepted",),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one target.

    Attributes:
        kind: Name of its kind, `attention, hide`.
        group: `single`, `pair` or `valid`.
        target: Names of its faults, or how right code is put together.
        result: What was said about it.
        said: What was said in place of its names, in words; or the names it is in a tie with.
    """

    kind: str
    group: Literal["single", "pair", "valid"]
    target: tuple[str, ...]
    result: Result
    said: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether nothing went wrong."""
        return self.result in _FINE[self.group]


@dataclass(frozen=True)
class Nearest:
    """The two faults of one kind whose answers lie closest together.

    Attributes:
        kind: Name of the kind.
        faults: Their names; `RIGHT` stands for no fault.
        distance: The largest difference of their numbers on the probes, relative to their size.
        tolerance: Up to which two answers are the same.
    """

    kind: str
    faults: tuple[str, str]
    distance: float
    tolerance: float


@dataclass(frozen=True)
class Tally:
    """The results of one kind, counted.

    Attributes:
        kind: Its name.
        rejected: Faulty targets with one fault that were called wrong.
        singles: Of how many; without those that are the same as right here.
        named: Of these, named, ties among them.
        ties: Named together with others that are the same function.
        nameable: Of the singles, those that answer at least one call.
        pairs_named: Pairs named.
        pairs: Pairs tried that can be told from right, and from every single fault.
        pairs_in_all: Pairs that could have been tried.
        accepted: Right implementations accepted.
        valid: Of how many.
    """

    kind: str
    rejected: int
    singles: int
    named: int
    ties: int
    nameable: int
    pairs_named: int
    pairs: int
    pairs_in_all: int
    accepted: int
    valid: int


@dataclass(frozen=True)
class Report:
    """The whole examination.

    Attributes:
        outcomes: Of every target, kind by kind.
        pairs_in_all: For every kind, how many pairs could have been tried.
        nearest: For every kind, the two faults that lie closest together.
        seconds: How long it took.
        never_named: After a round of all contracts, the faults of the catalogue that no target of any kind showed.
    """

    outcomes: tuple[Outcome, ...]
    pairs_in_all: tuple[tuple[str, int], ...]
    nearest: tuple[Nearest, ...]
    seconds: float
    never_named: tuple[str, ...] = ()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """One row for every kind, in the order in which they were examined."""
        kinds = dict.fromkeys(outcome.kind for outcome in self.outcomes)
        return tuple(self._tally(kind) for kind in kinds)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Everything that went wrong."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_fine)

    @property
    def total(self) -> Tally:
        """All kinds together."""
        rows = [asdict(tally) for tally in self.tallies]
        return Tally(
            "all", **{name: sum(row[name] for row in rows) for name in Tally.__annotations__ if name != "kind"}
        )

    @property
    def is_passed(self) -> bool:
        """Whether every single fault is rejected and named, 95 % of the pairs named, and all right code accepted."""
        are_others_fine = not any(failure.group != "pair" for failure in self.failures)
        return are_others_fine and self._are_pairs_named() and not self.never_named

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        return {
            "passed": self.is_passed,
            "seconds": round(self.seconds, 2),
            "tallies": [asdict(tally) for tally in self.tallies],
            "total": asdict(self.total),
            "never_named": list(self.never_named),
            "nearest": [asdict(nearest) for nearest in self.nearest],
            "failures": [asdict(outcome) for outcome in self.failures],
            "ties": [asdict(outcome) for outcome in self.outcomes if outcome.result == "tied"],
            "nothing_to_name": [asdict(o) for o in self.outcomes if o.group == "single" and o.result in _NOTHING],
        }

    def _are_pairs_named(self) -> bool:
        """Whether enough pairs are named in every kind."""
        return all(tally.pairs_named >= LEAST_PAIRS_NAMED * tally.pairs for tally in self.tallies)

    def _tally(self, kind: str) -> Tally:
        own = [outcome for outcome in self.outcomes if outcome.kind == kind]
        singles: list[Result] = [o.result for o in own if o.group == "single" and o.result != "same"]
        pairs: list[Result] = [o.result for o in own if o.group == "pair" and o.result not in _NOTHING]
        valid = [o.result for o in own if o.group == "valid"]
        return Tally(
            kind,
            rejected=len(singles) - singles.count("accepted") - singles.count("crashed"),
            singles=len(singles),
            named=_named(singles),
            ties=singles.count("tied"),
            nameable=len(singles) - singles.count("raises"),
            pairs_named=_named(pairs),
            pairs=len(pairs),
            pairs_in_all=dict(self.pairs_in_all).get(kind, 0),
            accepted=valid.count("accepted"),
            valid=len(valid),
        )


_NOTHING: tuple[Result, ...] = ("same", "raises")


def _named(results: Sequence[Result]) -> int:
    return results.count("named") + results.count("tied")
