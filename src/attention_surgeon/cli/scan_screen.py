"""What `surgeon scan` shows: a bar while it works; then one line per head and where the maps are."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from attention_surgeon.cli.cells import fit, text_lines, title_lines, visible
from attention_surgeon.cli.console import make_console
from attention_surgeon.cli.live import bar_of, clock_time
from attention_surgeon.stats import MIXED, PER_HEAD, AttentionScan, patterns_from

_FORMAT, _VERSION = "attention-surgeon scan", 1

_COLUMNS = (
    ("entropy", "entropy", 8),
    ("entropy_share", "share", 6),
    ("effective_keys", "keys", 8),
    ("mean_max_attention", "max", 6),
    ("first_mass", "first", 6),
    ("previous_mass", "prev", 6),
    ("diagonal_mass", "own", 6),
    ("local_mass", "local", 6),
    ("mean_distance", "distance", 9),
)

_HEAD, _PATTERN = 6, 12

Place = tuple[int, ...]

_PER_SECOND = 4

_TRUSTED = 0.02
"""The share of the work after which it is known how fast it goes."""


def scan_lines(found: Mapping[str, AttentionScan], title: str, out: Path | None, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells but those with a path."""
    for name, scan in found.items():
        yield from title_lines(f"{name or visible(title)}", _about(scan), width)
        yield from _table(scan, width)
        yield Text("")
    yield from _notes(found, width)
    if out is not None:
        yield Text(f"statistics and maps: {visible(str(out))}", "quiet")


def as_json_text(found: Mapping[str, AttentionScan], title: str) -> str:
    """Return everything but the maps for machines; a number that is none is null."""
    layers = [{"name": name, **_layer(scan)} for name, scan in found.items()]
    return json.dumps({"format": _FORMAT, "version": _VERSION, "source": title, "layers": layers}, allow_nan=False)


def _about(scan: AttentionScan) -> str:
    looked, of = int(scan.num_looked_at.min()), scan.num_queries
    rows = f"{of:,} queries" if scan.is_exact else f"{looked:,} of {of:,} queries"
    keys = scan.statistics.received.shape[-1]
    return f"{rows}, {keys:,} keys"


def _table(scan: AttentionScan, width: int) -> Iterator[Text]:
    columns = _that_fit(width)
    heads = "".join(f"{head:>{room}}" for _, head, room in columns)
    yield Text(f"{'head':<{_HEAD}}{'pattern':<{_PATTERN}}{heads}", "quiet")
    patterns = patterns_from(scan.statistics)
    for place in places(scan):
        cells = "".join(f"{_short(float(scan.number(name)[place])):>{room}}" for name, _, room in columns)
        yield Text.assemble(fit(_name(place), _HEAD), (fit(patterns.name(*place), _PATTERN - 1) + " ", "weight"), cells)
        if not scan.is_exact:
            errors = "".join(f"{'±' + _short(float(scan.errors[name][place])):>{room}}" for name, _, room in columns)
            yield Text(" " * (_HEAD + _PATTERN) + errors, "quiet")


def _that_fit(width: int) -> list[tuple[str, str, int]]:
    left, kept = width - _HEAD - _PATTERN, []
    for column in _COLUMNS:
        left -= column[2]
        if left >= 0:
            kept.append(column)
    return kept


def places(scan: AttentionScan) -> Iterator[Place]:
    """Yield the place of each head in the leading axes."""
    yield from product(*map(range, scan.num_looked_at.shape))


def _name(place: Place) -> str:
    return ".".join(str(index) for index in place) or "-"


def _short(number: float) -> str:
    """Return a number in at most six cells.

    >>> _short(0.1234), _short(31.4159), _short(65536.0), _short(math.nan)
    ('0.12', '31.4', '65536', '-')
    """
    if math.isnan(number):
        return "-"
    digits = 2 if abs(number) < 10 else 1 if abs(number) < 1000 else 0
    return f"{number:.{digits}f}"


def _notes(found: Mapping[str, AttentionScan], width: int) -> Iterator[Text]:
    if any(not scan.is_exact for scan in found.values()):
        yield from text_lines(
            "± is one standard error of a sample of the queries; keys received and the map are of these queries too.",
            width,
            "quiet",
        )
    names = {patterns_from(scan.statistics).name(*place) for scan in found.values() for place in places(scan)}
    if MIXED in names:
        yield from text_lines(
            f"{MIXED}: no pattern accounts for half of the attention; block is not looked for, it needs the weights "
            f"written out.",
            width,
            "quiet",
        )
    empty = sum(int(scan.statistics.num_empty.sum()) for scan in found.values())
    if empty:
        yield from text_lines(f"{empty:,} queries that may attend to nobody are left out.", width, "quiet")


def _layer(scan: AttentionScan) -> dict[str, Any]:
    patterns = patterns_from(scan.statistics)
    heads = []
    for place in places(scan):
        numbers = {name: _number(scan, name, place) for name in (*PER_HEAD, "output_norm")}
        heads.append(
            {
                "place": list(place),
                "pattern": patterns.name(*place),
                "pattern_score": patterns.score(*place),
                "num_looked_at": int(scan.num_looked_at[place]),
                "num_empty": int(scan.statistics.num_empty[place]),
                **numbers,
                "standard_errors": {name: _finite(float(error[place])) for name, error in scan.errors.items()},
            }
        )
    return {
        "num_queries": scan.num_queries,
        "num_keys": scan.statistics.received.shape[-1],
        "is_exact": scan.is_exact,
        "seconds": scan.seconds,
        "heads": heads,
    }


def _number(scan: AttentionScan, name: str, place: Place) -> float | None:
    found = scan.output_norm if name == "output_norm" else getattr(scan.statistics, name)
    return None if found is None else _finite(float(found[place]))


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


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
