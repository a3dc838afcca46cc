"""Whose turn it is: one operation at a time, few waiting, and none for a page that has asked for something newer."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, final

from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.refusal import Refusal
from attention_surgeon.viewer.live.table import StillWanted

_T = TypeVar("_T")
_PAGES_KEPT = 256
_OUTDATED = "this page has asked for something newer."


@final
class Watch:
    """What tells a piece of work, in its own thread, that it is not wanted any more."""

    def __init__(self, page: str, seconds: float) -> None:
        """Nothing runs yet; the time begins with `start`."""
        self.page, self.seconds = page, seconds
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end = float("inf")
        self._refusal: Refusal | None = None

    def start(self) -> None:
        """Begin to count the time."""
        self._end = time.monotonic() + self.seconds

    def give_up(self, refusal: Refusal) -> None:
        """Let the work end at its next look at the watch; if it still waits, end at once."""
        self._refusal = refusal
        if not self.turn.done():
            self.turn.set_exception(refusal)

    def check(self) -> None:
        """Do nothing while the work is wanted.

        Raises:
            Refusal: it is not: 409 outdated, 503 its time is over.
        """
        if self._refusal is not None:
            raise self._refusal
        if time.monotonic() > self._end:
            raise self.too_long()

    def too_long(self) -> Refusal:
        """Return the refusal of what took too long."""
        return Refusal(
            503, f"this took longer than {self.seconds:g} s and was given up; try a shorter text or fewer layers."
        )


@final
class Turns:
    """The one thread that works, and who waits for it."""

    def __init__(self, limits: Limits) -> None:
        """Nobody waits."""
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="operating-table")
        self._at_work: Watch | None = None
        self._waiting: deque[Watch] = deque()
        self._newest: OrderedDict[str, int] = OrderedDict()

    async def take(self, page: str, number: int, seconds: float, work: Callable[[StillWanted], _T]) -> _T:
        """Wait for the turn and return what `work` gives.

        Args:
            page: Which page asks.
            number: Of its request; one that is not higher than the last one's is outdated.
            seconds: How long the work may take from its turn on.
            work: Called in the one thread, with what it must call now and then.

        Raises:
            Refusal: 409 outdated, 503 too many wait, or it took too long.
        """
        self._outdate(page, number)
        watch = Watch(page, seconds)
        await self._wait_for_turn(watch)
        watch.start()
        running = asyncio.get_running_loop().run_in_executor(self._thread, work, watch.check)
        running.add_done_callback(self._next_turn)
        done, _ = await asyncio.wait({running}, timeout=seconds + self._limits.grace_seconds)
        if not done:  # it does not look at its watch; its turn lasts until it ends all the same
            raise watch.too_long()
        return running.result()

    def close(self) -> None:
        """Let all work end at its next look at the watch, and wait for that."""
        for watch in (self._at_work, *self._waiting):
            if watch is not None:
                watch.give_up(Refusal(503, "the server ends."))
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _outdate(self, page: str, number: int) -> None:
        if number <= self._newest.get(page, -1):
            raise Refusal(409, _OUTDATED)
        self._newest[page] = number
        self._newest.move_to_end(page)
        if len(self._newest) > _PAGES_KEPT:
            self._newest.popitem(last=False)
        for watch in (self._at_work, *self._waiting):
            if watch is not None and watch.page == page:
                watch.give_up(Refusal(409, _OUTDATED))

    async def _wait_for_turn(self, watch: Watch) -> None:
        if self._at_work is None:
            self._at_work = watch
            watch.turn.set_result(None)
            return
        waiting = [other for other in self._waiting if not other.turn.done()]
        if len(waiting) >= self._limits.most_waiting:
            raise Refusal(503, f"{_requests_wait(len(waiting))} already; try again in a moment.")
        self._waiting = deque([*waiting, watch])
        await watch.turn

    def _next_turn(self, finished: asyncio.Future[_T]) -> None:
        if not finished.cancelled():
            finished.exception()  # taken, so that asyncio does not report what nobody waits for any more
        self._at_work = None
        while self._waiting:
            watch = self._waiting.popleft()
            if not watch.turn.done():
                self._at_work = watch
                watch.turn.set_result(None)
                return


def _requests_wait(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count} requests wait"
