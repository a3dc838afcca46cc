"""The end of a child that left no answer as one sentence: what happened, where, and the way out."""

import signal
from pathlib import Path

from attention_surgeon.diagnose.child.in_words import at, smaller
from attention_surgeon.diagnose.child.limits import Limits, in_bytes
from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.diagnose.child.place import Place

OUT_OF_MEMORY = 198
"""The exit code of a child that had not a byte left to say so."""

_MEANING = {
    "SIGSEGV": "it used memory that is not its own",
    "SIGBUS": "it used memory that is not its own",
    "SIGABRT": "a library gave up",
    "SIGFPE": "a division by zero in C code",
    "SIGILL": "an instruction that this processor does not have",
}
_LATE = ("SIGALRM", "SIGXCPU")
_STOPS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_WINDOWS_CRASH = 0xC0000000  # from here on an exit code is an exception of the system


def ended_of(code: int | None) -> Ended:
    """Return what an exit code means, negative for the number of a signal, as in `subprocess`."""
    if code is not None and code < 0:
        name = _signal_name(code)
        return "timed_out" if name in _LATE else "interrupted" if name in _STOPS else "crashed"
    if code == OUT_OF_MEMORY:
        return "out_of_memory"
    return "crashed" if code is not None and code >= _WINDOWS_CRASH else "exited"


def end_in_words(ended: Ended, code: int | None, file: Path | None, place: Place | None, limits: Limits) -> str:
    """Return the sentence for a child that left no answer.

    Args:
        ended: What became of it.
        code: Its exit code, negative for a signal; None: nobody knows.
        file: The judged file.
        place: Where it was.
        limits: What it was allowed.
    """
    name = "the code" if file is None else file.name
    where = at(place)
    match ended:
        case "timed_out":
            return (
                f"{name} was stopped after {limits.seconds:g} s{where}: it had not come to an end. "
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
