"""Writing files so that nothing is ever half written, and nothing of the user's is lost.

A file is written beside its place and then moved there in one step; what stood there before can be kept as a
numbered copy. Every failure of the file system becomes a `FileAccessError` that says what to do.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attention_surgeon.errors import FileAccessError, FileFormatError

_WAY_OUT = {
    errno.ENOENT: "its folder does not exist; make it first, or choose another place",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another place",
    errno.EISDIR: "a folder stands there; give a file name",
    errno.EEXIST: "a file stands there; choose another place",
    errno.EACCES: "permission denied; choose another place",
    errno.EPERM: "permission denied; choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "your disk quota is used up; free some space and try again",
    errno.EFBIG: "larger than a file may be here; choose another disk, or raise the limit (ulimit -f)",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there takes the place of `path` in one step.

    If the block fails, or the disk is full, `path` stays as it was and the temporary file is removed.

    Raises:
        FileAccessError: the file cannot be written; the text names the path and the way out.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole or not at all")
    ...     (Path(folder) / "a.txt").read_text()
    'whole or not at all'
    """
    path = _place(path)
    temporary = None
    try:
        temporary = _temporary_beside(path)
        yield temporary
        _publish(temporary, path)
    except OSError as error:
        raise file_access_error("write", path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`, whole or not at all.

    Raises:
        FileAccessError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_in_folders(path: str | Path, content: str | bytes) -> None:
    """Write `content` as `write_file`, after the folders around it are made.

    Raises:
        FileAccessError: a folder cannot be made; or as `replacing`.
    """
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error("make", folder, error) from error
    write_file(path, content)


def require_place(path: str | Path) -> None:
    """Refuse a place where no file could be written, before the work whose outcome goes there.

    Raises:
        FileAccessError: as `replacing`; what stands at `path` is not touched.
    """
    path = _place(path)
    try:
        _temporary_beside(path).unlink()
    except OSError as error:
        raise file_access_error("write", path, error) from error


def write_keeping(path: str | Path, content: bytes) -> Path | None:
    """Write `content` to `path`; a file that stands there and holds something else is copied first.

    Returns:
        Path of the copy, as `keep_copy` names it; None where nothing had to be kept.

    Raises:
        FileAccessError: as `replacing` and `keep_copy`.
    """
    path = Path(path)
    with replacing(path) as fresh:
        fresh.write_bytes(content)
        return keep_copy(path) if path.is_file() and path.read_bytes() != content else None


def keep_copy(path: str | Path) -> Path | None:
    """Copy an existing file to the first free name `NAME.1.EXT`, `NAME.2.EXT`, … and return that name.

    Returns:
        Path of the copy, or None if there is no file at `path`.

    Raises:
        FileAccessError: the file cannot be read, or the copy cannot be written.
    """
    path = Path(path)
    if not path.is_file():
        return None
    number = 1
    while (copy := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    try:
        content = path.read_bytes()
    except OSError as error:
        raise file_access_error("read", path, error) from error
    write_file(copy, content)
    return copy


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises:
        FileAccessError: it is missing, a folder or not permitted.
        FileFormatError: it is no UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"cannot read {path}: it is not UTF-8 text (byte {error.start}); save it as UTF-8 and try again."
        ) from error
    except OSError as error:
        raise file_access_error("read", path, error) from error


def cache_folder(name: str) -> Path:
    """Return where what can be made again is kept for this user; the folder need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attention-surgeon" / name


def file_access_error(verb: str, path: str | Path, error: OSError) -> FileAccessError:
    """Return the `FileAccessError` for an operating system's error: `cannot write a.txt: the disk is full; ...`."""
    if verb == "read" and error.errno == errno.ENOENT:
        return FileAccessError(f"cannot read {path}: there is no such file; check the name and the folder.")
    reason = _WAY_OUT.get(error.errno or 0, f"{error.strerror or error}")
    return FileAccessError(f"cannot {verb} {path}: {reason}.")


def _place(path: str | Path) -> Path:
    """Return where a file is to be written: the end of a symbolic link; refuse what is no file."""
    path = Path(path)
    if path.is_symlink():  # keep the link, replace what it points to
        path = path.resolve()
    if path.is_dir():
        raise FileAccessError(f"cannot write {path}: {_WAY_OUT[errno.EISDIR]}.")
    if path.exists() and not path.is_file():
        raise FileAccessError(f"cannot write {path}: it is a device or a pipe; give the name of a file.")
    return path


def _temporary_beside(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _publish(temporary: Path, path: Path) -> None:
    """Move the finished file into place, with the permissions that a plain `open` would have given it."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    temporary.chmod(mode)
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
