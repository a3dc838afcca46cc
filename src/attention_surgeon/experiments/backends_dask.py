"""Workers of a Dask cluster, through its own client.

joblib has a backend for Dask too. It survives a killed worker, but waits for ever once the last one is gone, and does
not say which point kills its workers. Here each point is submitted under its name, so that the scheduler too knows it
as one thing, whoever asks for it and however often a worker is lost.
"""

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from attention_surgeon.errors import ClusterError
from attention_surgeon.experiments.backends import Backend, Workers, require_package
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.sweep_points import (
    measure_point,
    require_same_versions,
    worker_versions,
)

_TO_CONNECT = 5.0
_WITHOUT_WORKERS = 15.0
_BETWEEN_LOOKS = 1.0


@contextlib.contextmanager
def open_workers(backend: Backend, on_note: Callable[[str], None]) -> Iterator[Workers]:
    """Yield the workers of the cluster.

    Raises:
        LoadError: Dask is not installed here.
        ClusterError: nobody answers at the address, there are no workers, or they lack a package.
    """
    distributed = require_package("distributed", "attention-surgeon[cluster]", "dask")
    address = backend.address or ""
    _require_scheduler(distributed, address)
    client = distributed.Client(address, timeout=_TO_CONNECT, set_as_default=False)
    try:
        yield DaskWorkers(client, address, on_note)
    finally:
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):  # of a scheduler that is gone nothing is held
            client.close(timeout=_TO_CONNECT)


@final
class DaskWorkers(Workers):
    """The workers that a scheduler knows."""

    def __init__(self, client: Any, address: str, on_note: Callable[[str], None]) -> None:
        """Ask everybody there what they work with.

        Raises:
            ClusterError: there are no workers, or they cannot do the work.
        """
        self._client, self._address, self._on_note = client, address, on_note
        self._num_workers, self._last_seen = len(self._workers()), time.monotonic()
        if not self._num_workers:
            raise ClusterError(f"sweep: the cluster at {address} has no workers; start one with: dask worker {address}")
        self._versions = self._ask_versions()

    @property
    def versions(self) -> Record:
        """What all of them work with."""
        return self._versions

    def measure(
        self, points: Mapping[str, Any], work: Callable[[Any], Any] = measure_point
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each point once; what was in the hands of a worker that died is given to another one.

        Raises:
            ClusterError: the scheduler or all workers are gone, or a point killed several workers one after another.
        """
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        futures = {
            self._client.submit(work, point, key=f"surgeon-{name}", pure=True): name for name, point in points.items()
        }
        for future in futures:
            future.add_done_callback(done.put)
        while futures:
            try:
                future = done.get(timeout=_BETWEEN_LOOKS)
            except queue.Empty:
                self._look_after_workers()
                continue
            outcome = self._result(future, points[futures[future]])
            yield futures.pop(future), outcome

    def _result(self, future: Any, point: Any) -> Any:
        """Return what came back; if its worker died before it was fetched, it is made again and waited for."""
        import distributed
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError

        while True:
            try:
                return future.result(timeout=_BETWEEN_LOOKS)
            except (TimeoutError, CommClosedError):
                self._look_after_workers()
            except distributed.KilledWorker:
                raise ClusterError(
                    f"sweep: {point} ended every worker that took it up, one after another; usually it needs more "
                    f"memory than they have."
                ) from None
            except FutureCancelledError:
                raise self._lost_scheduler() from None

    def _look_after_workers(self) -> None:
        """Tell when workers were lost; give up when there has been none for a while."""
        num_workers = len(self._workers())
        if num_workers < self._num_workers:
            lost = self._num_workers - num_workers
            self._on_note(f"{lost} of {self._num_workers} workers lost; what they had in hand is given to others")
        self._num_workers = num_workers
        if num_workers:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > _WITHOUT_WORKERS:
            raise ClusterError(
                f"sweep: all workers at {self._address} are gone, none came for {_WITHOUT_WORKERS:.0f} s; start one "
                f"with: dask worker {self._address}"
            )

    def _workers(self) -> Mapping[str, int]:
        try:
            return self._client.nthreads()
        except (OSError, RuntimeError):  # the connection broke, or is closed since it broke
            raise self._lost_scheduler() from None

    def _lost_scheduler(self) -> ClusterError:
        return ClusterError(f"sweep: the scheduler at {self._address} was stopped or restarted.")

    def _ask_versions(self) -> Record:
        """Return what every worker works with; the scheduler, who reads what it passes on, needs the package too."""
        answers = {"the scheduler": self._ask_scheduler()}
        answers |= {f"the worker {name}": answer for name, answer in self._ask_workers().items()}
        for who, answer in answers.items():
            if isinstance(answer, Exception):
                raise ClusterError(
                    f"sweep: {who} cannot load this package: {answer.args[0] if answer.args else answer}; install "
                    f"attention-surgeon there, in the same environment as here."
                )
            require_same_versions(answers["the scheduler"], answer, who)
        package = {"attention_surgeon": worker_versions()["attention_surgeon"]}
        require_same_versions(package, answers["the scheduler"], f"the cluster at {self._address}")
        return answers["the scheduler"]

    def _ask_workers(self) -> dict[str, Any]:
        return self._client.run(worker_versions, on_error="return")

    def _ask_scheduler(self) -> Any:
        try:
            return self._client.run_on_scheduler(worker_versions)
        except Exception as error:  # noqa: BLE001  whatever an environment that lacks something raises
            return error


def _require_scheduler(distributed: Any, address: str) -> None:
    """Refuse an address where no Dask scheduler answers, before a client tries for long.

    Raises:
        ClusterError: nobody listens, somebody else does, or it is no address.
    """

    async def ask() -> None:
        async with distributed.core.rpc(address) as scheduler:
            await asyncio.wait_for(scheduler.identity(), _TO_CONNECT)

    try:
        with ThreadPoolExecutor(1) as beside:  # in a notebook this thread has an event loop already
            beside.submit(lambda: asyncio.run(ask())).result()
    except (OSError, ValueError, TimeoutError, MemoryError) as error:
        # What something else answers is read as a length, for which there is no memory.
        other = "something else answers there" if isinstance(error, MemoryError) else str(error)
        reason = other or f"no answer within {_TO_CONNECT:.0f} s"
        raise ClusterError(
            f"sweep: no Dask scheduler answers at {address} ({reason}); start one with: dask scheduler"
        ) from None
