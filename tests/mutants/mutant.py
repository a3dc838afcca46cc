"""One bug, as the text it replaces in one file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A single fault to plant.

    Attributes:
        name: What the bug is, in the field's words.
        file: Path below `src/attention_surgeon`; its first folder is the room whose tests must notice.
        before: Text that stands exactly once in that file.
        after: What stands there instead.
    """

    name: str
    file: str
    before: str
    after: str

    @property
    def room(self) -> str:
        """The folder of `tests/` that mirrors the file."""
        return self.file.split("/")[0]

    def plant(self, source: str) -> str:
        """Return `source` with the bug in it.

        Raises:
            LookupError: the text to replace does not stand there exactly once, so the table is out of date.
        """
        if (times := source.count(self.before)) != 1:
            raise LookupError(f"{self.name}: {self.before!r} stands {times} times in {self.file}, expected once")
        return source.replace(self.before, self.after)
