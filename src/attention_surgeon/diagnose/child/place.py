"""Where in the judged file something happened: from a traceback, or from what faulthandler wrote."""

import linecache
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_THREAD = re.compile(r"^(Current thread|Thread) (0x[0-9a-f]+)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_LONGEST_NAME = 500  # faulthandler cuts file names there


@dataclass(frozen=True)
class Place:
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


def place_of_error(error: BaseException, file: Path | None) -> Place | None:
    """Return the innermost line of `file` in the error's traceback, None if it was not there."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == str(file):
            found = (trace.tb_lineno, code.co_name)
        trace = trace.tb_next
    return None if found is None or file is None else _place(file, *found)


def line_of_error(error: BaseException, file: Path | None) -> int | None:
    """Return the line of `file` where the error came up, or which is no Python; None if it was not there."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    place = place_of_error(error, file)
    return None if place is None else place.line


def place_in_trace(trace: str, file: Path | None) -> Place | None:
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
                return _place(file, int(line), function)
    return None


def _place(file: Path, line: int, function: str) -> Place:
    linecache.checkcache(str(file))
    return Place(line, function, linecache.getline(str(file), line).strip()[:80])


def _as_written(file: Path) -> str:
    """Return the name as faulthandler writes it: in ASCII, and cut when it is long."""
    name = str(file)
    written = name[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode()
    return written + "..." if len(name) > _LONGEST_NAME else written
