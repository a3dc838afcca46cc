"""The child's side: make the process harmless, do the work, say how it ended.

A pipe would be the usual way. A file stays reachable when the judged code closes every descriptor it can find,
holds an answer of any size while nobody reads, and works alike on every system.
"""

import contextlib
import faulthandler
import io
import json
import os
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from attention_surgeon.diagnose.child.in_words import OUT_OF_MEMORY, ended_by, error_in_words, line_of_error, shortened
from attention_surgeon.diagnose.child.limits import Limits
from attention_surgeon.diagnose.child.outcome import Ended, Jsonable
from attention_surgeon.errors import OptionError
from attention_surgeon.files import file_access_error

NO_MESSAGE = 199
"""The exit code of a child that could not even say what went wrong; what it printed says more."""

_own_streams: list[io.TextIOWrapper] = []

_before_it_is_told: list[Callable[[], None]] = []  # at hand: where not a byte is left, an import would fail

_replaced_streams: list[object] = []  # kept, because a stream that is thrown away writes what it still holds

LARGEST = 16 * 2**20
"""The largest answer, in bytes."""

_KEPT = 8 * 1024  # of each end; two screens of text


@dataclass(frozen=True)
class Job:
    """What a child has to do.

    Attributes:
        work: Called without arguments; its answer must be something that JSON can write.
        folder: Where the answer is left.
        file: The judged file, by the name that Python gives it in a traceback; None if there is no single one.
        limits: What the work may use.
    """

    work: Callable[[], Jsonable]
    folder: Path
    file: Path | None
    limits: Limits


def do(job: Job) -> NoReturn:
    """Do the work in this process, leave the answer in the folder, and end the process.

    The descriptors 1 and 2 already lead to the parent.
    """
    try:
        pid = os.getpid()
        _make_harmless()
        _arm(job)
        message = _work(job)
        if os.getpid() == pid:  # otherwise the code forked, and this is the copy
            _deliver(message, job)
        for stream in _own_streams:  # os._exit drops what is still in a buffer
            with contextlib.suppress(OSError, ValueError):  # the code closed it
                stream.flush()
        code = 0
    except BaseException as error:  # noqa: BLE001  the last resort: nothing of the parent's may run on in a child
        code = OUT_OF_MEMORY if isinstance(error, MemoryError) else NO_MESSAGE
        with contextlib.suppress(MemoryError):
            traceback.print_exc()
    os._exit(code)  # no handler, no buffer and no thread of the judged code has a say in this


def _make_harmless() -> None:
    """Give the process its own streams and plain settings, as a new interpreter has them."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _replaced_streams.extend([sys.stdin, sys.stdout, sys.stderr])
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = _stream(1)
    sys.stderr = sys.__stderr__ = _stream(2)
    _own_streams.extend([sys.stdout, sys.stderr])
    sys.dont_write_bytecode = True  # a .pyc is trusted by its time in whole seconds: too coarse for saving twice
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    os.environ["OMP_NUM_THREADS"] = "1"  # for a torch that is not loaded yet
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _stream(descriptor: int) -> io.TextIOWrapper:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _arm(job: Job) -> None:
    """Set the limits, and let faulthandler write down where the process was when it is stopped or crashes."""
    trace = os.open(trace_file(job.folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(trace, f"main {threading.get_ident():#x}\n".encode())
    if sys.platform != "win32":
        from attention_surgeon.diagnose.child import posix

        posix.reset_signals()
        posix.set_limits(job.limits)
        _before_it_is_told.append(posix.lift_memory_limit)
        trace = posix.out_of_the_way(trace)
        posix.set_alarm(job.limits, trace)
    else:
        faulthandler.dump_traceback_later(job.limits.seconds, file=trace, exit=True)
    faulthandler.enable(file=trace, all_threads=True)


@dataclass(frozen=True)
class Message:
    """What a child says about its end; the fields are those of `Outcome`."""

    ended: Ended
    value: Jsonable = None
    sentence: str = ""
    line: int | None = None
    traceback: str = ""


def _work(job: Job) -> Message:
    try:
        value = job.work()
        _make_room()
        return Message("finished", value)
    except BaseException as error:  # noqa: BLE001  whatever comes out of somebody's code becomes a sentence
        return _message_about(error, job)


def _make_room() -> None:
    for lift in _before_it_is_told:
        lift()


def _message_about(error: BaseException, job: Job) -> Message:
    _make_room()
    return Message(
        ended=ended_by(error),
        sentence=error_in_words(error, job.file, job.limits),
        line=line_of_error(error, job.file),
        traceback=shortened(error, job.file),
    )


def _deliver(message: Message, job: Job) -> None:
    try:
        send(message, job.folder)
    except (TypeError, ValueError) as error:  # an answer that JSON cannot write, or too large
        send(_message_about(error, job), job.folder)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder that nobody else may read, and remove it afterwards.

    Raises:
        FileAccessError: the system's folder for temporary files cannot be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="surgeon-", ignore_cleanup_errors=True)
    except OSError as error:
        raise file_access_error("write", tempfile.gettempdir(), error) from error
    with folder as name:
        yield Path(name)


def send(message: Message, folder: Path) -> None:
    """Write the answer, so that it is there whole or not at all.

    Raises:
        OptionError: it is larger than `LARGEST`.
        TypeError: its value is nothing that JSON can write.
    """
    content = json.dumps(asdict(message)).encode()
    if len(content) > LARGEST:
        raise OptionError(f"the answer of the child has {len(content)} bytes, at most {LARGEST} are allowed.")
    draft = folder / "draft"
    draft.write_bytes(content)
    os.replace(draft, _message(folder))


def receive(folder: Path) -> Message | None:
    """Return the child's answer, None if it left none."""
    if not _message(folder).exists():
        return None
    return Message(**json.loads(_message(folder).read_bytes()))


def trace_file(folder: Path) -> Path:
    """Return where a child writes what it was doing when it was stopped."""
    return folder / "trace"


def _message(folder: Path) -> Path:
    return folder / "message"


class Printed:
    """Keeps both ends of a stream of bytes, however long the stream is.

    >>> printed = Printed()
    >>> printed.add(b"first ")
    >>> printed.add(b"last")
    >>> printed.text(), printed.num_bytes
    ('first last', 10)
    """

    def __init__(self) -> None:
        """Begin with nothing printed."""
        self.num_bytes = 0
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, piece: bytes) -> None:
        """Take the next piece of the stream."""
        self.num_bytes += len(piece)
        room = _KEPT - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[:-_KEPT]

    def text(self) -> str:
        """Return what was printed, with a line in the place of what was cut."""
        cut = self.num_bytes - len(self._head) - len(self._tail)
        if not cut:
            return (self._head + self._tail).decode(errors="replace")
        mark = f"\n[... {cut:,} bytes are left out here ...]\n"
        return self._head.decode(errors="replace") + mark + self._tail.decode(errors="replace")
