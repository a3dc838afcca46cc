"""Work on several maps at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_THREADS = 2


def in_parallel(function: Callable[[int], _T], numbers: Iterable[int]) -> Iterator[_T]:
    """Yield the results in order; NumPy, torch and zlib let another thread work.

    >>> list(in_parallel(abs, [-1, 2]))
    [1, 2]
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(function, numbers)
