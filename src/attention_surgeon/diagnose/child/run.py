"""Run somebody's code in a child process, with limits, and say in a sentence how it ended."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from attention_surgeon.diagnose.child.in_words import end_in_words, ended_of, failed_in_words, location_in_trace
from attention_surgeon.diagnose.child.inside import (
    NO_MESSAGE,
    Job,
    Message,
    Printed,
    private_folder,
    receive,
    trace_file,
)
from attention_surgeon.diagnose.child.limits import Limits
from attention_surgeon.diagnose.child.outcome import Ended, Jsonable, Outcome
from attention_surgeon.diagnose.child.process import Forked, Fresh, Process
from attention_surgeon.errors import OptionError

Start: TypeAlias = Literal["fork", "fresh"]

_ANSWER_TIME = 0.25  # seconds a child has to write down where it is

_TICK = 0.02

_GRACE = 0.5  # seconds in which a child stops itself, with a word where it was, before it is killed

_MEMORY_EVERY = 0.02 if sys.platform == "linux" else 0.25  # without /proc each look starts a program

_LEEWAY = 96 * 2**20  # bytes beyond the limit in which the child says itself where it was

_PACE_EVERY = 0.1  # seconds; the system counts processor time in hundredths

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


def run_in_child(
    work: Callable[[], Jsonable],
    *,
    file: str | Path | None = None,
    limits: Limits | None = None,
    start: Start | None = None,
) -> Outcome:
    """Return what became of `work` in a child process, whatever it does: loop, print, exit, crash.

    The child has its own session, an empty standard input, its own output (captured), one thread for torch, and
    none of the parent's signal handlers. Nothing it does to torch or to the process reaches the parent. When it has
    ended, everything it started is killed too, except what moved to a session of its own.

    Args:
        work: Called in the child without arguments; its answer must be something that JSON can write. For a new
            interpreter it must be a function of a module, or `functools.partial` of one.
        file: The judged file, so that the sentence can name its line.
        limits: What the work may use; None: `Limits()`.
        start: `fork` copies this process with all it has loaded; `fresh` starts a new interpreter. None: `fork` on
            Linux, unless this process has used a GPU, which no copy can; `fresh` elsewhere: Apple's libraries do
            not survive a fork.

    Raises:
        ArgumentTypeError: the work cannot be sent to a new interpreter.
        FileAccessError: there is no room for temporary files.
        KeyboardInterrupt: as in any function; the child is killed first.
        OptionError: this system cannot fork, or `start` is something else.

    >>> run_in_child(lambda: 6 * 7, start="fork").value
    42
    >>> run_in_child(lambda: exit(3), start="fork").sentence
    'the code ended the program with exit code 3; take the exit out.'
    """
    file = None if file is None else Path(os.path.abspath(file))
    limits = limits or Limits()
    with private_folder() as folder:
        job = Job(work, folder, file, limits)
        process = _process(job, start)
        watch = Watch(process, limits)
        began = time.monotonic()
        try:
            process.start()
            stopped = watch.until_the_end()
            if stopped is not None:
                _let_it_say_where(process, folder)
            process.end()
            watch.read_the_rest()
        finally:
            process.end()
            process.close()
        seconds = time.monotonic() - began - watch.waited
        message = receive(folder) or _own_words(job, stopped, process.code)
    return Outcome(printed=watch.printed.text(), seconds=seconds, **vars(message))


def _process(job: Job, start: Start | None) -> Process:
    start = start or ("fork" if sys.platform == "linux" and not _has_used_a_gpu() else "fresh")
    if start == "fresh":
        return Fresh(job)
    if start != "fork" or not hasattr(os, "fork"):
        raise OptionError(f"run_in_child: start is {start!r}, expected 'fresh', or 'fork' where the system has it.")
    return Forked(job)


def _has_used_a_gpu() -> bool:
    return "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()


def _let_it_say_where(process: Process, folder: Path) -> None:
    """Ask the child where it is, and give it a moment to write that down."""
    before = len(_trace(folder))
    process.ask_where()
    patience = time.monotonic() + _ANSWER_TIME
    while len(_trace(folder)) == before and time.monotonic() < patience and not process.has_ended():
        time.sleep(0.005)
    time.sleep(0.005)  # it is written in pieces


def _own_words(job: Job, stopped: Ended | None, code: int | None) -> Message:
    """Return what a child that left no answer would have said."""
    trace = _trace(job.folder)
    if not stopped and (not trace or code == NO_MESSAGE):
        return Message("crashed", sentence=failed_in_words(code, job.file))
    is_late = "Timeout (" in trace  # on Windows, where there is no signal for it
    ended = stopped or ("timed_out" if is_late else ended_of(code))
    location = location_in_trace(trace, job.file)
    sentence = end_in_words(ended, code, job.file, location, job.limits)
    return Message(ended, sentence=sentence, line=None if location is None else location.line)


def _trace(folder: Path) -> str:
    path = trace_file(folder)
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class Watch:
    """Watches one child.

    Attributes:
        printed: What the child printed.
        waited: How many seconds it could have run and had no processor.
    """

    def __init__(self, process: Process, limits: Limits) -> None:
        """Watch `process`, which need not be started yet."""
        self.printed = Printed()
        self._process = process
        self._limits = limits
        self._is_open = True
        self._next_look = 0.0
        self.waited = 0.0
        self._pace: tuple[float, float] | None = None

    def until_the_end(self) -> Ended | None:
        """Wait until the child has ended; return the reason if it has to be stopped."""
        deadline = time.monotonic() + self._process.patience + self._limits.seconds + _GRACE
        while not self._process.has_ended():
            self._read(_TICK)
            if self.printed.num_bytes > self._limits.output_bytes:
                return "flooded"
            self._look_at_its_pace()
            if time.monotonic() > deadline + self.waited:
                return "timed_out"
            if self._uses_too_much():
                return "out_of_memory"
        return None

    def _look_at_its_pace(self) -> None:
        """Count the time in which it could have run and had no processor: that of a busy machine."""
        now = time.monotonic()
        if sys.platform != "linux" or (self._pace is not None and now < self._pace[0] + _PACE_EVERY):
            return
        from attention_surgeon.diagnose.child import posix

        pace = posix.pace_of(self._process.pid)
        if pace is None:
            return
        can_run, used = pace
        if self._pace is not None and can_run:
            self.waited += max(0.0, now - self._pace[0] - (used - self._pace[1]))
        self._pace = now, used

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
        allowed = self._process.loaded + self._limits.memory_bytes + _LEEWAY
        return (posix.memory_of(self._process.pid) or 0) > allowed
