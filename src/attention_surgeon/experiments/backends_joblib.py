"""Workers through joblib: processes on this machine."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from attention_surgeon.errors import ClusterError
from attention_surgeon.experiments.backends import Backend, Workers
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.sweep_points import measure_point, worker_versions

_MOST_LOSSES = 3
_ONE_AT_A_TIME: dict[str, Any] = {"batch_size": 1}  # joblib's own types forget that it may be a number


@contextlib.contextmanager
def open_workers(backend: Backend, on_note: Callable[[str], None]) -> Iterator[Workers]:
    """Yield the processes of this machine."""
    yield JoblibWorkers(backend, on_note)


@final
class JoblibWorkers(Workers):
    """Workers that joblib hands the points to."""

    def __init__(self, backend: Backend, on_note: Callable[[str], None]) -> None:
        """Take whatever cores there are, or as many as were asked for."""
        self._num_jobs, self._on_note = backend.num_jobs or joblib.cpu_count(), on_note

    @property
    def versions(self) -> Record:
        """Those of this process, from which the others are started."""
        return worker_versions()

    def measure(
        self, points: Mapping[str, Any], work: Callable[[Any], Any] = measure_point
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each point once; what was in the hands of a process that died is given to another one.

        Raises:
            ClusterError: processes died three times, and nothing came back in between.
        """
        missing, losses = dict(points), 0
        while missing:
            try:
                for name, outcome in self._call(dict(missing), work):
                    losses = 0
                    del missing[name]
                    yield name, outcome
            except TerminatedWorkerError:
                losses += 1
                if losses == _MOST_LOSSES:
                    raise ClusterError(
                        f"sweep: a process at work on one of the {len(missing)} points that are left was killed, "
                        f"{losses} times in a row; if the memory does not suffice, fewer --jobs need less."
                    ) from None
                self._on_note(f"a process was killed; the {len(missing)} points that are left are given out again")

    def _call(self, points: Mapping[str, Any], work: Callable[[Any], Any]) -> Iterator[tuple[str, Any]]:
        num_jobs = min(self._num_jobs, len(points))
        # One point at a time to each: they take long, and what comes back is kept at once.
        parallel: Any = joblib.Parallel(num_jobs, return_as="generator_unordered", pre_dispatch="all", **_ONE_AT_A_TIME)
        yield from parallel(joblib.delayed(_measure_named)(*named, work) for named in points.items())


def _measure_named(name: str, point: Any, work: Callable[[Any], Any]) -> tuple[str, Any]:
    return name, work(point)
