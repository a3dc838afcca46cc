"""Running a small hostile file as `surgeon diagnose FILE.py:f` does: load it in a child, and call it."""

import textwrap
from functools import partial
from pathlib import Path
from typing import Any, Literal

from attention_surgeon.diagnose.child import Limits, Outcome, run_in_child
from attention_surgeon.diagnose.load import load_target

QUICK = Limits(seconds=20, memory_bytes=2**29, output_bytes=2**20)
SHORT = Limits(seconds=0.6, memory_bytes=2**29, output_bytes=2**20)


def load_and_call(file: str, name: str) -> Any:
    return load_target(file, name).object()


def run_source(
    folder: Path, source: str, limits: Limits = QUICK, start: Literal["fork", "fresh"] = "fork", name: str = "f"
) -> Outcome:
    """Write `source` to attention.py in `folder`, load it in a child and call `name`."""
    file = folder / "attention.py"
    file.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
    return run_in_child(partial(load_and_call, str(file), name), file=file, limits=limits, start=start)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
