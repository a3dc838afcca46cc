"""A terminal of a given size with a program in it: what it shows can be read, keys can be pressed."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte

SURGEON = [sys.executable, "-c", "from attention_surgeon.cli import main; main()"]


class Screen:
    def __init__(self, *arguments: str, folder: Path, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        settings = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [*SURGEON, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=settings | {"TERM": "xterm-256color"} | environment,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = b""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def shows(self, text: str) -> bool:
        """Whether a text is there, wherever its lines are broken."""
        return text in self.text or " ".join(text.split()) in " ".join(self.text.split())

    def wait_for(self, *texts: str, seconds: float = 45.0) -> str:
        deadline = time.monotonic() + seconds
        while not all(self.shows(text) for text in texts):
            left = deadline - time.monotonic()
            assert left > 0, f"{texts} did not come; the screen is:\n{self.text}"
            self._read(min(left, 0.2))
        return self.text

    def settle(self) -> None:
        """Read until nothing comes any more: a window that is half drawn is no window."""
        before = -1
        while len(self.raw) != before:
            before = len(self.raw)
            self._read(0.4)

    def wait_for_end(self, seconds: float = 20.0) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        self._read(0.1)
        assert self.process.returncode is not None, self.text
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            with contextlib.suppress(OSError):  # the program has ended
                piece = os.read(self._master, 65536)
                self.raw += piece
                self._stream.feed(piece)
