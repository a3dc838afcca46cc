"""The parent's side: read what the child prints, look at the clock and at the memory, until it has ended."""

import os
import sys
import time

from attention_surgeon.diagnose.child.limits import Limits
from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.diagnose.child.printed import Printed
from attention_surgeon.diagnose.child.process import Process

_TICK = 0.02
_GRACE = 0.5  # seconds in which a child stops itself, with a word where it was, before it is killed
_MEMORY_EVERY = 0.02 if sys.platform == "linux" else 0.25  # without /proc each look starts a program
_PIECE = 65536

if sys.platform == "win32":
    import _winapi
    import msvcrt

    def _is_readable(descriptor: int, seconds: float) -> bool:
        """Return whether a read would not wait, or wait that long for it."""
        try:
            is_ready = _winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor), 0)[0] > 0
        except OSError:  # the other end is closed; a read says so at once
            return True
        if not is_ready:
            time.sleep(seconds)
        return is_ready

else:
    import select

    def _is_readable(descriptor: int, seconds: float) -> bool:
        """Return whether a read would not wait, within that time."""
        poll = select.poll()  # select.select cannot take a descriptor above 1023
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Watch:
    """Watches one child.

    Attributes:
        printed: What the child printed.
    """

    def __init__(self, process: Process, limits: Limits) -> None:
        """Watch `process`, which need not be started yet."""
        self.printed = Printed()
        self._process = process
        self._limits = limits
        self._is_open = True
        self._next_look = 0.0

    def until_the_end(self) -> Ended | None:
        """Wait until the child has ended; return the reason if it has to be stopped."""
        deadline = time.monotonic() + self._process.patience + self._limits.seconds + _GRACE
        while not self._process.has_ended():
            self._read(_TICK)
            if self.printed.num_bytes > self._limits.output_bytes:
                return "flooded"
            if time.monotonic() > deadline:
                return "timed_out"
            if self._uses_too_much():
                return "out_of_memory"
        return None

    def read_the_rest(self) -> None:
        """Read what a dead child left in the pipe; whoever else still holds the pipe is not waited for."""
        last = self.printed.num_bytes + 2 * 2**20  # no pipe holds more
        while self._is_open and self.printed.num_bytes < last and self._read(0.0):
            pass

    def _read(self, seconds: float) -> bool:
        if not self._is_open:
            time.sleep(seconds / 10)
            return False
        if not _is_readable(self._process.printed, seconds):
            return False
        piece = os.read(self._process.printed, _PIECE)
        self._is_open = bool(piece)
        self.printed.add(piece)
        return True

    def _uses_too_much(self) -> bool:
        """Return whether it has too much memory; a second look beside the kernel's limit, for shared memory."""
        now = time.monotonic()
        if sys.platform == "win32" or now < self._next_look:
            return False
        from attention_surgeon.diagnose.child import posix

        self._next_look = now + _MEMORY_EVERY
        return (posix.memory_of(self._process.pid) or 0) > self._process.loaded + self._limits.memory_bytes
