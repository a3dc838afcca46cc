"""How a child answers: one file in a folder of its own, which appears whole or not at all.

A pipe would be the usual way. A file stays reachable when the judged code closes every descriptor it can find,
holds an answer of any size while nobody reads, and works alike on every system.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from attention_surgeon.diagnose.child.outcome import Ended, Jsonable
from attention_surgeon.errors import OptionError
from attention_surgeon.files import file_access_error

LARGEST = 16 * 2**20
"""The largest answer, in bytes."""


@dataclass(frozen=True)
class Letter:
    """What a child says about its end; the fields are those of `Outcome`."""

    ended: Ended
    value: Jsonable = None
    sentence: str = ""
    line: int | None = None
    traceback: str = ""


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


def send(letter: Letter, folder: Path) -> None:
    """Write the answer, so that it is there whole or not at all.

    Raises:
        OptionError: it is larger than `LARGEST`.
        TypeError: its value is nothing that JSON can write.
    """
    content = json.dumps(asdict(letter)).encode()
    if len(content) > LARGEST:
        raise OptionError(f"the answer of the child has {len(content)} bytes, at most {LARGEST} are allowed.")
    draft = folder / "draft"
    draft.write_bytes(content)
    os.replace(draft, _letter(folder))


def receive(folder: Path) -> Letter | None:
    """Return the child's answer, None if it left none."""
    if not _letter(folder).exists():
        return None
    return Letter(**json.loads(_letter(folder).read_bytes()))


def trace_file(folder: Path) -> Path:
    """Return where a child writes what it was doing when it was stopped."""
    return folder / "trace"


def _letter(folder: Path) -> Path:
    return folder / "letter"
