"""The terminal while a screen stays on it: keys come one by one, and it is left as it was found, whatever happens."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import final

from rich.console import Console
from rich.text import Text

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
_NAMED = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b": "escape",
}
_LONGEST_KEY = 6  # bytes
_WITHOUT_WAKING = 0.02  # seconds between two looks where a pipe cannot be waited for
_SHORT = 0.05  # seconds within which the rest of an arrow key comes

if sys.platform == "win32":
    import msvcrt
    import time

    def _read_key(seconds: float, wake: int) -> bytes:
        """Return the bytes of one key, empty if none came within that time."""
        seconds = min(seconds, _WITHOUT_WAKING)
        deadline = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() > deadline:
                return b""
            time.sleep(0.02)
        key = msvcrt.getch()
        named = {b"H": b"\x1b[A", b"P": b"\x1b[B", b"I": b"\x1b[5~", b"Q": b"\x1b[6~"}
        return named.get(msvcrt.getch(), b"") if key in (b"\x00", b"\xe0") else key

    @contextlib.contextmanager
    def _keys_one_by_one() -> Iterator[None]:
        yield

else:
    import select
    import termios
    import tty

    def _read_key(seconds: float, wake: int) -> bytes:
        """Return the bytes of one key, empty if none came within that time or something else woke us."""
        descriptor = sys.stdin.fileno()
        ready = select.select([descriptor, wake], [], [], seconds)[0]
        if wake in ready:
            os.read(wake, 4096)
        if descriptor not in ready:
            return b""
        key = os.read(descriptor, 1)
        while _is_begun(key) and select.select([descriptor], [], [], _SHORT)[0]:
            key += os.read(descriptor, 1)
        if not key:
            raise EOFError
        return key

    def _is_begun(key: bytes) -> bool:
        """Return whether more of a key may come: an escape, then a letter or a tilde ends it."""
        is_ended = len(key) > 2 and (key[-1:].isalpha() or key[-1:] == b"~")
        return key[:1] == b"\x1b" and len(key) < _LONGEST_KEY and not is_ended

    @contextlib.contextmanager
    def _keys_one_by_one() -> Iterator[None]:
        before = termios.tcgetattr(sys.stdin.fileno())
        try:
            tty.setcbreak(sys.stdin.fileno())
            yield
        finally:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


@final
class Terminal:
    """Draws whole windows, and reads keys."""

    def __init__(self, console: Console) -> None:
        """Draw on the terminal of `console`."""
        self._console = console
        self._is_plain = console.is_dumb_terminal
        self._woken, self._waking = os.pipe()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self._console.width, self._console.height

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Take the window over, and give it back as it was."""
        with _keys_one_by_one():
            self._write("" if self._is_plain else _ENTER)
            try:
                yield
            finally:
                self._write("" if self._is_plain else _LEAVE)

    def draw(self, lines: list[Text]) -> None:
        """Draw the lines, and nothing else, from the upper left corner on."""
        end = "\n" if self._is_plain else f"{_TO_END_OF_LINE}\r\n"
        with self._console.capture() as captured:
            for number, line in enumerate(lines):
                self._console.print(line, end="" if number == len(lines) - 1 else "\n", soft_wrap=True)
        text = captured.get().replace("\n", end)
        self._write(f"{text}\n" if self._is_plain else f"{_HOME}{text}{_TO_END_OF_LINE}{_TO_END}")

    def wake(self) -> None:
        """Let whoever waits for a key go on; from any thread."""
        os.write(self._waking, b".")

    def key(self, seconds: float) -> str:
        """Return the next key, empty if none came within that time, or `wake` was called.

        Raises:
            EOFError: nobody is there any more.
        """
        pressed = _read_key(seconds, self._woken)
        return _NAMED.get(pressed) or pressed.decode(errors="ignore")

    @staticmethod
    def _write(text: str) -> None:
        stream = sys.stdout
        stream.write(text)
        stream.flush()
