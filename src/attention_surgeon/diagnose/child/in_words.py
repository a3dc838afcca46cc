"""An exception of somebody's code as one sentence: what happened, where, and the way out."""

import importlib.util
import linecache
import re
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from attention_surgeon.diagnose.child.limits import Limits, in_bytes
from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.errors import SurgeonError
from attention_surgeon.packages import how_to_get

_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|std::bad_alloc", re.IGNORECASE)

_ASKED_FOR = re.compile(r"tried to allocate (\d+) bytes|Unable to allocate ([\d.]+ [KMGTP]iB)")

_LONGEST = 300

OUT_OF_MEMORY = 198
"""The exit code of a child that had not a byte left to say so."""

_MEANING = {
    "SIGSEGV": "it used memory that is not its own",
    "SIGBUS": "it used memory that is not its own",
    "SIGABRT": "a library gave up",
    "SIGFPE": "a division by zero in C code",
    "SIGILL": "an instruction that this processor does not have",
}

_BUSY = ("SIGPROF", "SIGXCPU")

_LATE = ("SIGALRM", *_BUSY)

_STOPS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")

_WINDOWS_CRASH = 0xC0000000  # from here on an exit code is an exception of the system

_THREAD = re.compile(r"^(Current thread|Thread) (0x[0-9a-f]+)", re.MULTILINE)

_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)

_LONGEST_NAME = 500  # faulthandler cuts file names there


def ended_by(error: BaseException) -> Ended:
    """Return how a child ends that an exception came out of."""
    if isinstance(error, SystemExit):
        return "exited"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "out_of_memory" if is_out_of_memory(error) else "raised"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed; torch says it with a plain `RuntimeError`."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def error_in_words(error: BaseException, file: Path | None, limits: Limits) -> str:
    """Return what the exception means to whoever wrote `file`.

    A `SurgeonError` speaks for itself. An error that did not pass through `file` is our own mistake, and the
    sentence says so.

    >>> error_in_words(ModuleNotFoundError("No module named 'einops'", name="einops"), None, Limits())
    'the code imports einops, which is not installed here; install it with `pip install einops`.'
    """
    name = "the code" if file is None else file.name
    location = location_of_error(error, file)
    if isinstance(error, SurgeonError):
        return str(error)
    if isinstance(error, SyntaxError):
        return _syntax_error(error)
    if isinstance(error, ImportError):
        return _import_error(error, name, location)
    if ended_by(error) != "raised":
        return _no_way_on(error, name, location, limits)
    if isinstance(error, EOFError):
        return f"{name} waits for input{at(location)}, and nobody can type here; write the value into the code."
    return _any_error(error, name, is_ours=file is not None and location is None, where=at(location))


def smaller(memory_bytes: int) -> str:
    """Return the way out for code that needs too much memory."""
    return f"{in_bytes(memory_bytes)} are allowed: make the tensors smaller, or allow more memory."


@dataclass(frozen=True)
class ErrorLocation:
    """A line of the judged file.

    Attributes:
        line: Its number, from 1.
        function: The function it stands in; `<module>` for the file's own level.
        source: The line itself, without its indentation.
    """

    line: int
    function: str
    source: str

    def __str__(self) -> str:
        """Return `line 3 in attention (`the line`)`."""
        inside = "" if self.function == "<module>" else f" in {self.function}"
        return f"line {self.line}{inside}" + (f" (`{self.source}`)" if self.source else "")


def at(location: ErrorLocation | None) -> str:
    """Return ` at line 3 (...)`, nothing if the location is unknown."""
    return "" if location is None else f" at {location}"


def shortened(error: BaseException, file: Path | None) -> str:
    """Return the traceback from `file` on, as Python prints it: the way there is not the reader's business."""
    written = traceback.TracebackException.from_exception(error, limit=-100)
    first = next((i for i, frame in enumerate(written.stack) if frame.filename == str(file)), 0)
    written.stack[:] = written.stack[first:]
    return "".join(written.format())


def _syntax_error(error: SyntaxError) -> str:
    name = Path(error.filename or "the code").name
    text = (error.text or "").rstrip("\n")
    stripped = text.lstrip()
    caret = max((error.offset or 1) - 1 - (len(text) - len(stripped)), 0)
    shown = f"\n    {stripped}\n    {' ' * caret}^" if stripped else ""
    return f"{name} cannot be read as Python at line {error.lineno or 1}: {error.msg}{shown}"


def _import_error(error: ImportError, name: str, location: ErrorLocation | None) -> str:
    if "relative import" in str(error):
        return (
            f"{name} has a relative import{at(location)}, and its folder is no package; write `import other` for "
            f"`from . import other`, or put an empty __init__.py into the folder."
        )
    module = error.name or ""
    top = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not top:
        return _any_error(error, name, is_ours=False, where=at(location))
    if top != module and importlib.util.find_spec(top) is not None:
        return f"{name} imports {module}{at(location)}, which the installed {top} does not have; look for its new name."
    way = how_to_get(top)
    return f"{name} imports {top}{at(location)}, which is not installed here; {way}{'' if way.endswith('?') else '.'}"


def _no_way_on(error: BaseException, name: str, location: ErrorLocation | None, limits: Limits) -> str:
    if isinstance(error, SystemExit):
        return f"{name} ended the program{at(location)} with exit code {_exit_code(error)}; take the exit out."
    if isinstance(error, KeyboardInterrupt):
        return f"{name} was interrupted{at(location)}; run it again."
    asked = _ASKED_FOR.search(str(error))
    amount = "" if asked is None else f" asked for {in_bytes(int(asked[1])) if asked[1] else asked[2]} at once and"
    return f"{name}{amount} ran out of memory{at(location)}; {smaller(limits.memory_bytes)}"


def _exit_code(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _any_error(error: BaseException, name: str, *, is_ours: bool, where: str) -> str:
    message = " ".join(str(error).split())
    message = message if len(message) <= _LONGEST else message[:_LONGEST] + " ..."
    what = type(error).__name__ + (f": {message}" if message else "")
    if is_ours:
        return f"judging {name} failed with {what}. This is a mistake in attention-surgeon; please report it."
    return f"{name} raised an error{where}: {what}"


def ended_of(code: int | None) -> Ended:
    """Return what an exit code means, negative for the number of a signal, as in `subprocess`."""
    if code is not None and code < 0:
        name = _signal_name(code)
        return "timed_out" if name in _LATE else "interrupted" if name in _STOPS else "crashed"
    if code == OUT_OF_MEMORY:
        return "out_of_memory"
    return "crashed" if code is not None and code >= _WINDOWS_CRASH else "exited"


def end_in_words(
    ended: Ended, code: int | None, file: Path | None, location: ErrorLocation | None, limits: Limits
) -> str:
    """Return the sentence for a child that left no answer.

    Args:
        ended: What became of it.
        code: Its exit code, negative for a signal; None: nobody knows.
        file: The judged file.
        location: Where it was.
        limits: What it was allowed.
    """
    name = "the code" if file is None else file.name
    where = at(location)
    match ended:
        case "timed_out":
            is_busy = limits.cpu_seconds is not None and code is not None and _signal_name(code) in _BUSY
            spent = f"{limits.cpu_seconds:g} s of processor time" if is_busy else f"{limits.seconds:g} s"
            return (
                f"{name} was stopped after {spent}{where}: it had not come to an end. "
                f"Look for a loop that never ends, or allow more time."
            )
        case "flooded":
            return (
                f"{name} was stopped{where}: it had printed more than {in_bytes(limits.output_bytes)}. "
                f"Take the print out of the loop."
            )
        case "out_of_memory":
            return f"{name} ran out of memory{where}; {smaller(limits.memory_bytes)}"
        case "interrupted":
            return f"{name} was stopped by {_signal_name(code)}{where}; run it again."
        case "crashed":
            return f"{name} crashed{where}: {_crash_in_words(code)}"
        case _:
            how = "" if code is None else f" with exit code {code}"
            return f"{name} ended the whole program{how}; take out what does it (os._exit, or a library)."


def failed_in_words(code: int | None, file: Path | None) -> str:
    """Return the sentence for a child that failed on its own, before or after the code that it was to run."""
    name = "the code" if file is None else file.name
    return (
        f"judging {name} failed in the child process itself (exit code {code}); what it printed says why. If the disk "
        f"is not full, this is a mistake in attention-surgeon; please report it."
    )


def _crash_in_words(code: int | None) -> str:
    name = _signal_name(code)
    if name == "SIGKILL":
        return "SIGKILL, by its own hand, by somebody else's, or by the system because memory ran out."
    if name not in _MEANING:
        return f"{name} ended it."
    return f"{name}, {_MEANING[name]}. Python code alone cannot do this: look for ctypes, or for an extension."


def _signal_name(code: int | None) -> str:
    if code is None or code >= 0:
        return "an unknown signal" if code is None else f"error {code:#x}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def location_of_error(error: BaseException, file: Path | None) -> ErrorLocation | None:
    """Return the innermost line of `file` in the error's traceback, None if it was not there."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == str(file):
            found = (trace.tb_lineno, code.co_name)
        trace = trace.tb_next
    if found is None and isinstance(error, MemoryError) and error.__context__ is not None:
        return location_of_error(error.__context__, file)  # whoever cleaned up after the first had no memory either
    return None if found is None or file is None else _location(file, *found)


def line_of_error(error: BaseException, file: Path | None) -> int | None:
    """Return the line of `file` where the error came up, or which is no Python; None if it was not there."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    location = location_of_error(error, file)
    return None if location is None else location.line


def location_in_trace(trace: str, file: Path | None) -> ErrorLocation | None:
    """Return the innermost line of `file` in what faulthandler wrote, None if it was not there.

    Args:
        trace: First the line `main 0x...` with the identity of the main thread, then faulthandler's texts. A crash
            is looked for in the thread that crashed, anything else in the main thread first.
        file: The judged file.
    """
    if file is None:
        return None
    main = trace.partition("\n")[0].removeprefix("main ")
    starts = list(_THREAD.finditer(trace))
    if not starts:
        return None
    ends = [start.start() for start in starts[1:]] + [len(trace)]
    is_crash = "Fatal Python error" in trace

    def rank(thread: re.Match[str]) -> int:
        return 0 if is_crash and thread[1] == "Current thread" else 1 if int(thread[2], 16) == int(main, 16) else 2

    for start, end in sorted(zip(starts, ends, strict=True), key=lambda part: rank(part[0])):
        for name, line, function in _FRAME.findall(trace, start.start(), end):
            if name == _as_written(file):
                return _location(file, int(line), function)
    return None


def _location(file: Path, line: int, function: str) -> ErrorLocation:
    linecache.checkcache(str(file))
    return ErrorLocation(line, function, linecache.getline(str(file), line).strip()[:80])


def _as_written(file: Path) -> str:
    """Return the name as faulthandler writes it: in ASCII, and cut when it is long."""
    name = str(file)
    written = name[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode()
    return written + "..." if len(name) > _LONGEST_NAME else written
