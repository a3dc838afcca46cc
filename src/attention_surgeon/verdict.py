"""What is said of somebody's attention, in types that need neither torch nor a terminal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A line of somebody's file.

    Attributes:
        file: Its path, as Python knows it.
        line: Counted from 1.
        text: What stands there, without the blanks around it.
    """

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        """As an editor takes it: `attention.py:12`."""
        return f"{self.file}:{self.line}"
