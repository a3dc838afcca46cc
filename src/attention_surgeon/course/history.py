"""What happened in a workspace, one line of JSON each, only ever added to: a crash costs no more than its last line."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

from attention_surgeon.files import file_access_error

What: TypeAlias = Literal["judged", "reset", "undone", "updated", "opened"]


@final
@dataclass(frozen=True)
class Event:
    """One version of one file, and what became of it.

    Attributes:
        path: The file, relative to the workspace.
        sha256: Its content from then on.
        what: `judged`, `reset`, `undone`, `updated`, or `opened` of a solution.
        exercise: What it was judged as, or whose solution it is; empty otherwise.
        status: Of the verdict; of a solution why it was opened, `passed` or `asked`.
        mistakes: Names, in the order of the pipeline.
        at: When, as ISO 8601 with the time zone.
    """

    path: str
    sha256: str
    what: What
    exercise: str = ""
    status: str = ""
    mistakes: tuple[str, ...] = ()
    at: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))


@final
class History:
    """The events of a workspace, the oldest first."""

    def __init__(self, file: Path) -> None:
        """Read and write `file`, which is made with the first event."""
        self.file = file

    def add(self, event: Event) -> None:
        """Add an event.

        Raises:
            FileAccessError: it cannot be written.
        """
        line = json.dumps(asdict(event)).encode() + b"\n"
        try:
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                size = os.fstat(descriptor).st_size
                is_torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                _write_all(descriptor, (b"\n" if is_torn else b"") + line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_access_error("write", self.file, error) from error

    def events(self, path: str | None = None) -> list[Event]:
        """Return all events, or those of one file; lines that cannot be read are passed over.

        Raises:
            FileAccessError: the file is there and cannot be read.
        """
        return [event for event in self._read() if path in (None, event.path)]

    def versions(self, path: str) -> list[str]:
        """Return the digests that a file has gone through, each change once; what was undone is taken back."""
        stack: list[str] = []
        for event in self._read():
            if event.path != path:
                continue
            if event.what == "undone" and event.sha256 in stack:
                del stack[len(stack) - stack[::-1].index(event.sha256) :]
            elif not stack or stack[-1] != event.sha256:
                stack.append(event.sha256)
        return stack

    def _read(self) -> Iterator[Event]:
        try:
            lines = self.file.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise file_access_error("read", self.file, error) from error
        for line in lines:
            event = _event(line)
            if event is not None:
                yield event


def _event(line: bytes) -> Event | None:
    try:
        values: Any = json.loads(line)
    except ValueError:
        return None
    known = {each.name for each in fields(Event)}
    if not isinstance(values, Mapping) or not {"path", "sha256", "what"} <= set(values):
        return None
    chosen = {key: value for key, value in values.items() if key in known}
    return Event(**{**chosen, "mistakes": tuple(chosen.get("mistakes", ()))})


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
