"""What somebody's code may use before it is stopped."""

import math
from dataclasses import dataclass

from attention_surgeon.errors import ArgumentTypeError, OptionError


@dataclass(frozen=True)
class Limits:
    """What the code in a child process may use.

    Attributes:
        seconds: Time, sleeping included. On Linux what a process waits for a processor is not counted, so a busy
            machine changes nothing; elsewhere it is time by the clock.
        memory_bytes: Memory on top of what the process has when the code starts (Python and torch). Linux enforces
            it to 64 MiB, macOS by looking four times a second, Windows not at all.
        output_bytes: What it may print, on both streams together, before it is stopped.
        cpu_seconds: Processor time, which does not pass while others are busy; None: only the clock counts. POSIX
            systems only.

    Raises:
        ArgumentTypeError, OptionError: a limit is no number, or not above zero.

    >>> Limits(seconds=2).memory_bytes // 2**30
    2
    """

    seconds: int | float = 10
    memory_bytes: int = 2 * 2**30
    output_bytes: int = 16 * 2**20
    cpu_seconds: int | float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        _require_positive("seconds", self.seconds, (int, float), "a number of seconds")
        _require_positive("memory_bytes", self.memory_bytes, (int,), "a whole number of bytes")
        _require_positive("output_bytes", self.output_bytes, (int,), "a whole number of bytes")
        if self.cpu_seconds is not None:
            _require_positive("cpu_seconds", self.cpu_seconds, (int, float), "a number of seconds")


def _require_positive(name: str, value: int | float, kinds: tuple[type, ...], expected: str) -> None:
    message = f"Limits: {name} is {value!r}, expected {expected} above 0."
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ArgumentTypeError(message)
    if not 0 < value < math.inf:
        raise OptionError(message)


def in_bytes(count: int) -> str:
    """Return a number of bytes as a person reads it.

    >>> in_bytes(2**31), in_bytes(4 * 10**12), in_bytes(700)
    ('2 GiB', '3.6 TiB', '700 bytes')
    """
    for power, unit in ((5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.2g} {unit}" if count < 10 * 1024**power else f"{count >> 10 * power} {unit}"
    return f"{count} bytes"
