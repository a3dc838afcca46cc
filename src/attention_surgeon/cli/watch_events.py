"""The events of `surgeon watch`, and the thread that tells of saves."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

from rich.text import Text

from attention_surgeon.course.session import Judged

_SETTLE_MS = 20  # an editor writes a file in more than one step


@final
@dataclass(frozen=True)
class Saved:
    """The learner's file was written, or something beside it.

    Attributes:
        paths: What was written, as far as the system tells.
    """

    paths: frozenset[Path] = frozenset()


@final
@dataclass(frozen=True)
class Found:
    """A verdict has come."""

    judged: Judged


@final
@dataclass(frozen=True)
class Told:
    """A page to read has come.

    Attributes:
        title: Stands above it.
        lines: Of the page.
    """

    title: str
    lines: list[Text]


@final
@dataclass(frozen=True)
class Failed:
    """What was wanted could not be done.

    Attributes:
        sentence: Says so.
        exercise: Of which it is said; empty: of none.
    """

    sentence: str
    exercise: str = ""


Event: TypeAlias = Saved | Found | Told | Failed

Stamp: TypeAlias = tuple[int, int] | None


def stamp_of(file: Path) -> Stamp:
    """Return when a file was last written and how long it is, None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def watch_file(file: Path, seen: Stamp, stop: threading.Event, happen: Callable[[Event], None]) -> None:
    """Tell of every save after the moment at which the file was as `seen`.

    The file's own stamp is looked at too, five times a second: a save can come before the system is listening,
    and not every file system tells of what happens in it.
    """
    from watchfiles import PythonFilter, watch  # here, because the first screen does not need it

    told = watch(
        file.parent,
        watch_filter=PythonFilter(),
        stop_event=stop,
        step=_SETTLE_MS,
        rust_timeout=200,
        debounce=400,
        yield_on_timeout=True,
    )
    try:
        for changes in told:
            stamp = stamp_of(file)
            if changes or stamp != seen:
                paths = frozenset(Path(path) for _, path in changes)
                happen(Saved(paths if stamp == seen else frozenset()))
            seen = stamp
    except (OSError, RuntimeError) as error:
        happen(Failed(f"cannot watch {file.parent}: {error}; press j after saving."))
