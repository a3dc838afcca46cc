"""The learning journal: entries are added at the end, and what the user wrote stays byte for byte."""

from pathlib import Path

from attention_surgeon.files import file_access_error, replacing

HEADING = "# Learning journal\n"


def read_journal(path: str | Path) -> bytes:
    """Return what stands in the journal, or how a new one begins.

    Raises:
        FileAccessError: it is there and cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return HEADING.encode()
    except OSError as error:
        raise file_access_error("read", path, error) from error


def add_entry(path: str | Path, entry: str) -> None:
    """Append `entry` to the journal at `path`, or start one.

    Nothing that stands in the file is changed; it is written anew in one step, so that an interruption leaves either
    the old journal or the new one.

    Args:
        path: The journal, usually `learning_journal.md`.
        entry: Markdown.

    Raises:
        FileAccessError: the journal cannot be read or written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     journal = Path(folder) / "learning_journal.md"
    ...     _ = journal.write_text("my own words")
    ...     add_entry(journal, "## Monday")
    ...     print(journal.read_text())
    my own words
    <BLANKLINE>
    ## Monday
    <BLANKLINE>
    """
    before = read_journal(path)
    gap = b"\n" if before.endswith(b"\n") else b"\n\n"
    with replacing(path) as temporary:
        temporary.write_bytes(before + gap + entry.rstrip("\n").encode() + b"\n")
