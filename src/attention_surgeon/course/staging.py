"""A throw-away folder in which files are judged: what the course gives of a unit, and somebody's files over it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from attention_surgeon.course.registry import Course
from attention_surgeon.course.workspace import given_files
from attention_surgeon.files import file_access_error


@contextmanager
def staged(course: Course, files: Mapping[PurePosixPath, bytes], within: Path | None = None) -> Iterator[Path]:
    """Yield a folder with everything the course gives, and these files in the place of what it gives, or beside it.

    Args:
        course: What gives.
        files: Somebody's, by their paths in a workspace.
        within: Where the folder is made; None: in the system's folder for temporary files.

    Raises:
        FileAccessError: the system's folder for temporary files cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="surgeon-", dir=within, ignore_cleanup_errors=True) as name:
            root = Path(name).resolve()
            for path, content in {**dict(given_files(course)), **files}.items():
                place = root / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            yield root
    except OSError as error:
        raise file_access_error("write", tempfile.gettempdir(), error) from error
