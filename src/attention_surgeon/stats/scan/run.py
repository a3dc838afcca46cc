"""Groups of rows through the cores, and back in their order."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from attention_surgeon.stats.row_sums import StatisticsOptions
from attention_surgeon.stats.scan.group import GroupResult, GroupScan
from attention_surgeon.stats.scan.plan import Buffers, Plan, RowGroup, ScanHead
from attention_surgeon.threads import one_thread

_MOST_WORKERS = 8
"""Each holds 32 MiB of weights."""


class Workers:
    """Threads that scan groups, each with one core of torch's; made by `workers`."""

    def __init__(self, number: int) -> None:
        """Take so many threads when they are asked for; 1: the caller's own does the work."""
        self.number = number
        self._pool: ThreadPoolExecutor | None = None
        self._own = threading.local()

    def scan(
        self, head: ScanHead, groups: Sequence[RowGroup], plan: Plan, options: StatisticsOptions | None
    ) -> Iterator[GroupResult]:
        """Yield what is found of each group, in their order, whichever is done first."""

        def work(group: RowGroup) -> GroupResult:
            return GroupScan(head, group, plan, options, self._buffers()).run()

        if self.number == 1:
            yield from map(work, groups)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.number, "scan", initializer=torch.set_num_threads, initargs=(1,))
        yield from _in_order(self._pool, work, groups, ahead=2 * self.number)

    def end(self) -> None:
        """Wait for what was begun, and let the threads go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _buffers(self) -> Buffers:
        if not hasattr(self._own, "buffers"):
            self._own.buffers = Buffers()
        return self._own.buffers


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """Yield as many workers as torch may use threads; on another device than the CPU the caller's thread is the one.

    When an error or Ctrl-C ends the block, the groups that were begun are finished first: some hundredths of a second.
    """
    number = min(torch.get_num_threads(), _MOST_WORKERS)
    if number == 1 or device.type != "cpu":
        yield Workers(1)
        return
    crew = Workers(number)
    try:
        with one_thread():  # the caller only adds up; more threads of torch's would wait actively beside the workers
            yield crew
    finally:
        crew.end()


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[RowGroup], GroupResult], groups: Sequence[RowGroup], ahead: int
) -> Iterator[GroupResult]:
    """Yield results in order while at most `ahead` groups are under way."""
    under_way: deque[Future[GroupResult]] = deque()
    for group in groups:
        under_way.append(pool.submit(work, group))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
