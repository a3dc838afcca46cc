"""One wrong call and the whole message it must give; each room lists its own in `bad_calls.py`.

`python -m tests.bad_call` prints all of them as a Markdown table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOMS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/bad_calls.py"))


@dataclass(frozen=True)
class BadCall:
    """A wrong call as source text, so that the same row is run as a test and printed in the documentation.

    Attributes:
        call: A Python expression. It may use `torch`, `np`, `math`, `surgeon` (the package) and each room by name
            (`ops`, `masks`, `nn`, `trace`, `plots`, ...).
        error: Name of the class in `attention_surgeon.errors`.
        message: The whole message.
    """

    call: str
    error: str
    message: str


def all_bad_calls() -> Iterator[tuple[str, BadCall]]:
    """Yield each room's name with each of its wrong calls."""
    for room in ROOMS:
        for bad_call in import_module(f"tests.{room}.bad_calls").BAD_CALLS:
            yield room, bad_call


def markdown() -> str:
    """Return all wrong calls as one table per room."""
    parts = []
    for room in ROOMS:
        rows = [bad_call for there, bad_call in all_bad_calls() if there == room]
        lines = [f"## `{room}` ({len(rows)})", "", "| call | error | message |", "|---|---|---|"]
        for row in rows:
            cells = (f"`{row.call}`", f"`{row.error}`", row.message)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    from tests import bad_call  # the rooms import this module by its name, not as __main__

    print(bad_call.markdown())
