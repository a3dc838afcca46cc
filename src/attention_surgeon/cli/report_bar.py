"""The bar that is seen while a report is made: how many experiments are done, and the time that is left."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from attention_surgeon.cli.console import make_console, note
from attention_surgeon.cli.live import bar_of, clock_time
from attention_surgeon.experiments import Progress
from attention_surgeon.experiments.report_runs import Planned, Section, Watch

_PER_SECOND = 4
_TRUSTED = 5
"""Seconds of expected work after which it is known how fast this machine is."""


@final
class ReportBoard:
    """What has been told so far, and how it is drawn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing planned."""
        self._clock = clock
        self._stage = "starting"
        self._planned: Sequence[Planned] = ()
        self._num_done = 0
        self._rows: dict[str, tuple[int, int]] = {}
        self._begun = clock()

    def stage(self, title: str) -> None:
        """Take in that something else than an experiment begins."""
        self._stage = title

    def plan(self, planned: Sequence[Planned]) -> None:
        """Take in what is to be run."""
        self._planned, self._begun = planned, self._clock()

    def begin(self, one: Planned) -> None:
        """Take in that an experiment begins."""
        self._stage, self._rows = f"{one.experiment.name}: {one.experiment.question}", {}

    def tell(self, progress: Progress) -> None:
        """Take in how far a row of it is."""
        self._rows[progress.row] = (progress.done, progress.total)

    def end(self, section: Section) -> None:
        """Take in that it is done, or failed."""
        self._num_done, self._rows = self._num_done + 1, {}

    def seconds_left(self) -> float | None:
        """Return how long the rest will take: as was measured before, and as fast as this machine was so far."""
        expected = sum(one.seconds for one in self._planned)
        done = self._expected_done()
        pace = (self._clock() - self._begun) / done if done >= _TRUSTED else 1.0
        return (expected - done) * pace if self._planned else None

    def _expected_done(self) -> float:
        before = float(sum(one.seconds for one in self._planned[: self._num_done]))
        if self._num_done >= len(self._planned):
            return before
        done, total = (sum(row[at] for row in self._rows.values()) for at in (0, 1))
        return before + self._planned[self._num_done].seconds * (done / total if total else 0.0)

    def __rich__(self) -> Group:
        """Draw it."""
        left = self.seconds_left()
        if left is None:
            return Group(Text(self._stage, "heading"))
        bar = bar_of(self._expected_done(), sum(one.seconds for one in self._planned))
        told = f"{clock_time(self._clock() - self._begun)} so far, about {clock_time(left)} left"
        counted = f"  {self._num_done} of {len(self._planned)} experiments · {told}"
        return Group(Text(self._stage, "heading"), Text.assemble((bar, "weight"), (counted, "quiet")))


@contextmanager
def report_bar(console: Console | None = None) -> Iterator[tuple[Watch, Callable[[str], None]]]:
    """Yield who watches the experiments and who is told the other stages; both show it on the standard error.

    Without a terminal there is one line for each stage and experiment.
    """
    console = console or make_console(stderr=True)
    if not console.is_terminal:
        yield Watch(on_end=_print_end, on_note=note), lambda title: print(f"{title} ...", file=sys.stderr)
        return
    board = ReportBoard()
    with Live(board, console=console, refresh_per_second=_PER_SECOND, transient=True) as live:
        notes = lambda message: live.console.print(Text(message))  # noqa: E731
        yield Watch(board.plan, board.begin, board.tell, board.end, notes), board.stage


def _print_end(section: Section) -> None:
    if section.run is None:
        became = f"failed: {section.problem}"
    else:
        became = f"read from {section.run.folder}" if section.planned.was_there else "done"
    print(f"{section.planned.experiment.name}: {became}", file=sys.stderr)
