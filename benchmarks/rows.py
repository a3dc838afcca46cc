"""One line of the table of speeds: who took how long for what; as data, so that it can be stored and shown again.

A file of benchmarks yields rows, each of one contender in one case:

    timings = alternate({"ours": ours, "SDPA": sdpa})
    yield from rows_of("forward", 4096, "8 heads x 64, float32", timings)

Contenders that could not take part get a row of their own with the reason: `Row(..., who="naive", note="...")`.
`benchmarks.table` collects the rows of every file and lays them out, the contenders side by side.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import Timing, ratio

OURS = "ours"


@dataclass(frozen=True)
class Row:
    """What one contender took in one case.

    Attributes:
        what: What was done, such as "forward, causal"; rows of one `what` are compared across sizes.
        tokens: How many there were; None where that is no question.
        setting: The rest of the case: heads, sizes, dtype.
        who: Who did it: "ours" or a peer by name.
        seconds: The median; None if it did not take part.
        spread: The quartiles around it.
        ratio: Ours in units of this peer's time, the median of the turns; None for ours.
        ratio_spread: The quartiles around that.
        ratio_range: The least and the largest of it in several runs; None: there was one.
        memory: By how many bytes the call raised the memory of a fresh process; None if that was not measured.
        note: What else is to be said, such as why it did not take part.
        is_headline: Whether the README shows the case.
    """

    what: str
    tokens: int | None
    setting: str
    who: str
    seconds: float | None = None
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    ratio_spread: tuple[float, float] | None = None
    ratio_range: tuple[float, float] | None = None
    memory: int | None = None
    note: str = ""
    is_headline: bool = False


def rows_of(
    what: str,
    tokens: int | None,
    setting: str,
    timings: Mapping[str, Timing],
    *,
    memory: Mapping[str, int | None] | None = None,
    notes: Mapping[str, str] | None = None,
    is_headline: bool = False,
) -> Iterator[Row]:
    """Yield a row for each contender that was timed; every peer's ratio is to the one called "ours"."""
    for who, timing in timings.items():
        against = ratio(timings[OURS], timing) if who != OURS and OURS in timings else None
        yield Row(
            what,
            tokens,
            setting,
            who,
            seconds=timing.median,
            spread=timing.spread,
            ratio=against and against.median,
            ratio_spread=against and against.spread,
            memory=(memory or {}).get(who),
            note=(notes or {}).get(who, ""),
            is_headline=is_headline,
        )


def combined(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the rows of several runs as one: the median of times and ratios, and between which the ratios lay.

    >>> runs = [[Row("forward", 8, "", "SDPA", seconds=1.0, ratio=ratio)] for ratio in (0.5, 0.7, 0.6)]
    >>> combined(runs)[0].ratio, combined(runs)[0].ratio_range
    (0.6, (0.5, 0.7))
    """
    return [_middle(same) for same in zip(*runs, strict=True)]


def _middle(same: Sequence[Row]) -> Row:
    first = same[0]
    assert all(
        (row.what, row.tokens, row.setting, row.who) == (first.what, first.tokens, first.setting, first.who)
        for row in same
    )
    seconds = [row.seconds for row in same if row.seconds is not None]
    ratios = [row.ratio for row in same if row.ratio is not None]
    return replace(
        first,
        seconds=statistics.median(seconds) if seconds else None,
        ratio=statistics.median(ratios) if ratios else None,
        ratio_range=(min(ratios), max(ratios)) if len(ratios) > 1 else None,
    )


@dataclass
class Stored:
    """The rows of each part of the table, with the machine they were taken on; kept in one JSON file.

    Attributes:
        parts: By name: `machine` (what it was, and how busy), and `rows`.
    """

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Stored":
        """Read the file; nothing is stored where there is none."""
        return cls(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Write the file."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def put(self, part: str, machine: Mapping[str, object], rows: list[Row]) -> None:
        """Replace a part."""
        self.parts[part] = {"machine": dict(machine), "rows": [asdict(row) for row in rows]}

    def rows(self, part: str) -> list[Row]:
        """Return the rows of a part."""
        return [Row(**row) for row in self.parts[part]["rows"]]
