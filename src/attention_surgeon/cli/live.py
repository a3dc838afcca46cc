"""The table that is seen while an experiment works: one row for each part, its curve, and the time that is left."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from attention_surgeon.cli.cells import sparkline
from attention_surgeon.cli.console import make_console
from attention_surgeon.experiments import Progress

_CURVE = 24
_BAR = 24
_PER_SECOND = 4


@final
@dataclass
class _Row:
    """How far one row is, and what it has measured."""

    total: int
    done: int = 0
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0


@final
class Board:
    """What has been told so far, and how it is drawn."""

    def __init__(self, heading: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with an empty table under `heading`."""
        self._heading, self._clock = heading, clock
        self._rows: dict[str, _Row] = {}
        self._last = self._begun = clock()

    def tell(self, progress: Progress) -> None:
        """Take in how far a row is."""
        now = self._clock()
        row = self._rows.setdefault(progress.row, _Row(progress.total))
        row.seconds += now - self._last if progress.done > row.done else 0.0
        self._last = now
        row.done, row.total = progress.done, progress.total
        row.values.extend(progress.values.values())

    def seconds_left(self) -> float | None:
        """Return how long the rest will take, as long per step as so far; None before the first step."""
        done = sum(row.done for row in self._rows.values())
        spent = sum(row.seconds for row in self._rows.values())
        if not done:
            return None
        return sum(row.total - row.done for row in self._rows.values()) * spent / done

    def __rich__(self) -> Group:
        """Draw the table."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, row in self._rows.items():
            latest = f"{row.values[-1]:.3f}" if row.values else ""
            table.add_row(name, Text(bar_of(row.done, row.total), "weight"), sparkline(row.values, _CURVE), latest)
        left = self.seconds_left()
        told = (
            "" if left is None else f"{clock_time(self._clock() - self._begun)} so far, about {clock_time(left)} left"
        )
        return Group(Text(self._heading, "heading"), table, Text(told, "quiet"))


@contextmanager
def live_table(heading: str, console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that takes progress and shows it on the standard error, which the table leaves again at the end.

    Without a terminal there is one line for each row, when it is done.
    """
    console = console or make_console(stderr=True)
    board = Board(heading)
    if not console.is_terminal:
        yield _lines(board)
        return
    with Live(board, console=console, refresh_per_second=_PER_SECOND, transient=True):
        yield board.tell


def _lines(board: Board) -> Callable[[Progress], None]:
    told: set[str] = set()

    def tell(progress: Progress) -> None:
        board.tell(progress)
        if progress.done == progress.total and progress.row not in told:
            told.add(progress.row)
            print(f"{progress.row}: done", file=sys.stderr)

    return tell


def bar_of(done: int | float, total: int | float) -> str:
    """Return a bar, filled as far as the work is done."""
    filled = round(_BAR * done / total) if total else _BAR
    return "█" * filled + "░" * (_BAR - filled)


def clock_time(seconds: float) -> str:
    """Return minutes and seconds.

    >>> clock_time(75.4)
    '1:15'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
