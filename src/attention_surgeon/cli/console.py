"""Where everything that a person reads is printed: one theme, one way to write, one way to say that it failed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator

import typer
from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from attention_surgeon.errors import FileAccessError
from attention_surgeon.files import file_access_error

THEME = Theme(
    {
        "heading": "bold",
        "quiet": "dim",
        "good": "green",
        "bad": "bold red",
        "weight": "cyan",
        "weight.strong": "bold cyan",
        "less": "magenta",
    }
)
"""Colours that are legible on dark and on light ground; each meaning also has a sign or a word of its own."""

_NOBODY_READS = 141  # 128 + SIGPIPE, what a shell reports for a program that was stopped by a closed pipe


def make_console(*, stderr: bool = False) -> Console:
    """Return a console: coloured on a terminal unless NO_COLOR is set, 80 columns wide where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a sign that the terminal's encoding lacks is no reason to stop
    return Console(theme=THEME, stderr=stderr, highlight=False, emoji=False, markup=False)


def show(lines: Iterable[Text], console: Console | None = None) -> None:
    """Print lines as they are: never wrapped, never cut.

    Raises:
        FileAccessError, typer.Exit: as `write`.
    """
    console = console or make_console()
    with console.capture() as captured:
        console.print(Text("\n").join(_trimmed(lines)), soft_wrap=True)
    write(captured.get())


def write(text: str) -> None:
    """Write text to the standard output, all of it or with an error.

    Raises:
        FileAccessError: the output cannot be written, for example to a full disk.
        typer.Exit: nobody reads it.
    """
    try:
        _write_all(text)
    except BrokenPipeError:
        _abandon_stdout()
        raise typer.Exit(_NOBODY_READS) from None
    except OSError as error:
        raise output_failed(error) from None


def say(kind: str, message: str) -> None:
    """Write one line to the standard error: `error: ...`, the kind in red."""
    line = Text.assemble((kind, "bad"), f": {message}" if message else "")
    with contextlib.suppress(OSError):  # whoever closed the standard error does not want to hear it
        make_console(stderr=True).print(line, soft_wrap=True)


def note(message: str) -> None:
    """Write one line to the standard error that is no error."""
    with contextlib.suppress(OSError):
        make_console(stderr=True).print(Text(message), soft_wrap=True)


def output_failed(error: OSError) -> FileAccessError:
    """Give up the standard output and return the error that says why."""
    _abandon_stdout()
    return file_access_error("write", "the standard output", error)


def _write_all(text: str) -> None:
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a stream of text alone, as in a notebook
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        rest = memoryview(text.encode(sys.stdout.encoding, "replace"))
        while rest:  # with PYTHONUNBUFFERED a write may stop halfway, and Python drops the rest in silence
            rest = rest[binary.write(rest) :]
    sys.stdout.flush()


def _abandon_stdout() -> None:
    """Let what is still buffered go nowhere; Python would try to write it again when it ends, and complain."""
    with contextlib.suppress(OSError):  # a stream without a file behind it, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _trimmed(lines: Iterable[Text]) -> Iterator[Text]:
    """Drop the blanks at the end of each line, which a narrower window would wrap."""
    for line in lines:
        line = line.copy()
        line.rstrip()
        yield line
