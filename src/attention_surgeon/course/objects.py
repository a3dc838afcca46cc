"""Every version of a file that was ever judged, by its content: the same text is kept once."""

import hashlib
import zlib
from pathlib import Path
from typing import final

from attention_surgeon.errors import FileFormatError
from attention_surgeon.files import file_access_error, write_in_folders


def digest(content: bytes) -> str:
    """Return the SHA-256 of content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@final
class Objects:
    """A folder of compressed contents, each named after its digest."""

    def __init__(self, folder: Path) -> None:
        """Keep things in `folder`, which is made with the first one."""
        self.folder = folder

    def put(self, content: bytes) -> str:
        """Keep content and return its digest.

        Raises:
            FileAccessError: it cannot be written; nothing half written is left.
        """
        name = digest(content)
        place = self._place(name)
        if not place.exists():
            write_in_folders(place, zlib.compress(content, 9))
        return name

    def get(self, name: str) -> bytes:
        """Return the content of a digest.

        Raises:
            FileAccessError: it is not there.
            FileFormatError: it is damaged.
        """
        place = self._place(name)
        try:
            content = zlib.decompress(place.read_bytes())
        except OSError as error:
            raise file_access_error("read", place, error) from error
        except zlib.error as error:
            raise FileFormatError(f"{place} is damaged ({error}); this version is lost, the others are not.") from error
        if digest(content) != name:
            raise FileFormatError(f"{place} is damaged: its content is another's; this version is lost.")
        return content

    def __contains__(self, name: str) -> bool:
        """Whether a content is kept."""
        return self._place(name).exists()

    def find(self, start: str) -> list[str]:
        """Return the digests that begin with these digits."""
        if len(start) < 2 or not all(letter in "0123456789abcdef" for letter in start):
            return []
        return sorted(start[:2] + file.name for file in (self.folder / start[:2]).glob(f"{start[2:]}*"))

    def _place(self, name: str) -> Path:
        return self.folder / name[:2] / name[2:]
