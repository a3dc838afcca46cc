"""Workers through joblib: processes on this machine, or a Ray cluster."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from attention_surgeon.errors import ClusterError
from attention_surgeon.experiments.backends import Backend, Workers, require_package
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.sweep_config import Point
from attention_surgeon.experiments.sweep_points import Outcome, measure_point, worker_versions

_MOST_LOSSES = 3
_ONE_AT_A_TIME: dict[str, Any] = {"batch_size": 1}  # joblib's own types forget that it may be a number
_JOBLIB_NAME = {"local": "loky", "ray": "ray"}


@contextlib.contextmanager
def open_workers(backend: Backend, on_note: Callable[[str], None]) -> Iterator[Workers]:
    """Yield the processes of this machine or of a Ray cluster.

    Raises:
        LoadError: Ray is not installed.
        ClusterError: nobody answers at the address.
    """
    with _ray(backend) if backend.name == "ray" else contextlib.nullcontext():
        yield JoblibWorkers(backend, on_note)


@final
class JoblibWorkers(Workers):
    """Workers that joblib hands the points to."""

    def __init__(self, backend: Backend, on_note: Callable[[str], None]) -> None:
        """Take whatever cores there are, or as many as were asked for."""
        self._joblib_name = _JOBLIB_NAME[backend.name]
        self._is_local, self._num_jobs = backend.name == "local", backend.num_jobs or -1
        self._on_note = on_note

    @property
    def versions(self) -> Record:
        """Those of this process, or what one of the cluster's says."""
        return worker_versions() if self._is_local else next(iter(self._call(worker_versions, [()])))

    def measure(self, points: Mapping[str, Point]) -> Iterator[tuple[str, Outcome]]:
        """Yield the name of each point once; what was in the hands of a process that died is given to another one.

        Raises:
            ClusterError: processes died three times, and nothing came back in between.
        """
        missing, losses = dict(points), 0
        while missing:
            try:
                for name, outcome in self._call(_measure_named, list(missing.items())):
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

    def _call(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        num_jobs = min(self._num_jobs, len(arguments))
        with joblib.parallel_config(backend=self._joblib_name if num_jobs != 1 else "sequential", n_jobs=num_jobs):
            # One point at a time to each: they take long, and what comes back is kept at once.
            parallel = joblib.Parallel(return_as="generator_unordered", pre_dispatch="all", **_ONE_AT_A_TIME)
        yield from parallel(joblib.delayed(function)(*given) for given in arguments)


def _measure_named(name: str, point: Point) -> tuple[str, Outcome]:
    return name, measure_point(point)


@contextlib.contextmanager
def _ray(backend: Backend) -> Iterator[None]:
    ray = require_package("ray", "ray", "ray")
    try:
        ray.init(address=backend.address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise ClusterError(
            f"sweep: no Ray cluster answers at {backend.address}: {error}. Start one with: ray start --head"
        ) from None
    require_package("ray.util.joblib", "ray", "ray").register_ray()
    try:
        yield
    finally:
        ray.shutdown()
