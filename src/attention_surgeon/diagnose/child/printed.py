"""What a child printed, in bounded memory: the first part, the last part, and how much was cut."""

_KEPT = 8 * 1024  # of each end; two screens of text


class Printed:
    """Keeps both ends of a stream of bytes, however long the stream is.

    >>> printed = Printed()
    >>> printed.add(b"first ")
    >>> printed.add(b"last")
    >>> printed.text(), printed.num_bytes
    ('first last', 10)
    """

    def __init__(self) -> None:
        """Begin with nothing printed."""
        self.num_bytes = 0
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, piece: bytes) -> None:
        """Take the next piece of the stream."""
        self.num_bytes += len(piece)
        room = _KEPT - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[:-_KEPT]

    def text(self) -> str:
        """Return what was printed, with a line in the place of what was cut."""
        cut = self.num_bytes - len(self._head) - len(self._tail)
        if not cut:
            return (self._head + self._tail).decode(errors="replace")
        mark = f"\n[... {cut:,} bytes are left out here ...]\n"
        return self._head.decode(errors="replace") + mark + self._tail.decode(errors="replace")
