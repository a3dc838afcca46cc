"""What became of the code in a child process."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Jsonable: TypeAlias = dict[str, Any] | list[Any] | str | float | int | bool | None
"""What a child process may answer: anything that JSON can write."""

Ended: TypeAlias = Literal[
    "finished", "timed_out", "out_of_memory", "exited", "crashed", "raised", "flooded", "interrupted"
]


@dataclass(frozen=True)
class Outcome:
    """What became of the code in a child process.

    Attributes:
        ended: `finished` (the work is done, `value` is its answer), `timed_out`, `out_of_memory`, `exited` (the code
            ended the program itself), `crashed` (a signal, such as SIGSEGV), `raised` (an exception came out),
            `flooded` (it printed without end) or `interrupted` (KeyboardInterrupt, or a SIGTERM from outside).
        value: The answer of the work; None unless it finished.
        sentence: What happened, where, and the way out, for a person; empty if it finished.
        printed: What the code wrote to its standard output and its standard error, long texts cut in the middle.
        seconds: From the start of the process to its end, without what it waited for a processor.
        line: The line of the judged file where it happened; None where nobody knows.
        traceback: Python's traceback if an exception came out, otherwise empty.
    """

    ended: Ended
    value: Jsonable
    sentence: str
    printed: str
    seconds: float
    line: int | None = None
    traceback: str = ""
