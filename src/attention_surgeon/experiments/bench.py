"""Where an experiment works: it tells how far it is, and keeps finished parts so that they need not be made again."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from attention_surgeon.errors import FileFormatError
from attention_surgeon.files import file_access_error, read_text, write_file


@final
@dataclass(frozen=True)
class Progress:
    """How far one row of the work is.

    Attributes:
        row: What is worked on, such as the name of a model.
        done: Steps done.
        total: Steps in all.
        values: What was measured at this step, such as the loss.
    """

    row: str
    done: int
    total: int
    values: Mapping[str, float] = field(default_factory=dict)


def _ignore(event: Any) -> None:
    """Do nothing with what is told."""


@final
@dataclass(frozen=True)
class Bench:
    """The place of one run.

    Attributes:
        folder: Where finished parts and checkpoints are kept; None: nowhere, everything is made anew.
        on_progress: Called with each `Progress`.
        on_note: Called with a sentence when something is worth knowing, such as a checkpoint that cannot be read.

    >>> told = []
    >>> bench = Bench(on_progress=told.append)
    >>> bench.plan({"causal": 2})
    >>> bench.part("answer", lambda: (40, 2))
    [40, 2]
    >>> told
    [Progress(row='causal', done=0, total=2, values={})]
    """

    folder: Path | None = None
    on_progress: Callable[[Progress], None] = _ignore
    on_note: Callable[[str], None] = _ignore

    def plan(self, rows: Mapping[str, int]) -> None:
        """Tell all rows of the work and their steps, before the first is begun."""
        for row, total in rows.items():
            self.tell(row, 0, total)

    def tell(self, row: str, done: int, total: int, **values: float) -> None:
        """Tell how far a row is."""
        self.on_progress(Progress(row, done, total, values))

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` returns, as plain data, or what it returned when this run was begun.

        What comes out is always what JSON makes of it (tuples become lists), so that a resumed run goes on with
        the very same numbers.

        Raises:
            FileAccessError: the part cannot be written.
            FileFormatError: a kept part is damaged.
        """
        if self.folder is None:
            return json.loads(json.dumps(make(), allow_nan=False))
        path = self.folder / "parts" / f"{_file_name(name)}.json"
        if not path.exists():
            text = json.dumps(make(), allow_nan=False)
            make_folder(path.parent)
            write_file(path, text)
        try:
            return json.loads(read_text(path))
        except json.JSONDecodeError as error:
            raise FileFormatError(f"{path} is damaged: it is not JSON ({error}); remove it and resume.") from None

    def checkpoints(self, name: str) -> Path | None:
        """Return the folder for the checkpoints of one training, None where nothing is kept."""
        return None if self.folder is None else self.folder / "checkpoints" / _file_name(name)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in.

    Raises:
        FileAccessError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error("make the folder", folder, error) from error


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
