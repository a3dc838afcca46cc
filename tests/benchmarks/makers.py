"""Work whose memory is known; plain Python, so that a fresh process has it soon."""

from collections.abc import Callable

MIB = 2**20


def taking(mebibytes: int, before: int = 0) -> Callable[[], bytes]:
    """Return work that takes so many MiB, after a preparation that has taken and freed `before`."""
    del_soon = b"x" * (before * MIB)
    assert len(del_soon) == before * MIB
    return lambda: b"x" * (mebibytes * MIB)


def failing() -> Callable[[], object]:
    return lambda: 1 / 0
