"""The bar that is seen during a scan: which layer, how much is done, and the time that is left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from attention_surgeon.cli.console import make_console
from attention_surgeon.cli.live import bar_of, clock_time

_PER_SECOND = 4
_TRUSTED = 0.02
"""The share of the work after which it is known how fast it goes."""


@final
class ScanBoard:
    """What has been told so far, and how it is drawn. All layers count as the same work."""

    def __init__(self, num_layers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin."""
        self._num_layers, self._clock, self._begun = num_layers, clock, clock()
        self._name, self._within, self.done = "", 0.0, 0

    def begin(self, name: str) -> None:
        """Take in that a layer begins."""
        self._name, self._within = name, 0.0

    def tell(self, share: float) -> None:
        """Take in how much of the layer is done."""
        self._within = share

    def end(self) -> None:
        """Take in that it is done."""
        self.done, self._within = self.done + 1, 0.0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._begun

    @property
    def share(self) -> float:
        """How much of all the work is done."""
        return min((self.done + self._within) / max(self._num_layers, 1), 1.0)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at the pace so far; None: it is too early to say."""
        return self.seconds * (1 / self.share - 1) if self.share >= _TRUSTED else None

    def __rich__(self) -> Group:
        """Draw it."""
        left = self.seconds_left
        told = "" if left is None else f", about {clock_time(left)} left"
        place = f"{self._name} · " if self._name else ""
        line = f"  {place}{min(self.done + 1, self._num_layers)} of {self._num_layers} · "
        bar = (bar_of(self.share, 1.0), "weight")
        return Group(Text.assemble(bar, (f"{line}{clock_time(self.seconds)} so far{told}", "quiet")))


@contextmanager
def scan_bar(num_layers: int, console: Console | None = None) -> Iterator[ScanBoard]:
    """Yield the board, which a terminal shows on the standard error until the block ends."""
    console = console or make_console(stderr=True)
    board = ScanBoard(num_layers)
    if not console.is_terminal:
        yield board
        return
    with Live(board, console=console, refresh_per_second=_PER_SECOND, transient=True):
        yield board
