"""Workers of a Ray cluster, through Ray itself: its backend for joblib gives nothing back before all is done."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

from attention_surgeon.errors import ClusterError
from attention_surgeon.experiments.backends import Backend, Workers, require_package
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.sweep_points import measure_point, worker_versions

_MOST_RETRIES = 3
_TO_CONNECT = 5.0


@contextlib.contextmanager
def open_workers(backend: Backend, on_note: Callable[[str], None]) -> Iterator[Workers]:
    """Yield the workers of the cluster.

    Raises:
        LoadError: Ray is not installed here.
        ClusterError: nobody answers at the address.
    """
    ray, address = require_package("ray", "ray", "ray"), backend.address or ""
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"sweep: no Ray cluster answers at {address} ({error}); start one with: ray start --head"
        ) from None
    try:
        yield RayWorkers(ray, address)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Fail at once where nobody listens; Ray itself tries for more than a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host, int(port)), _TO_CONNECT):
        pass


@final
class RayWorkers(Workers):
    """The workers of a Ray cluster; Ray itself gives what a killed one had in hand to another."""

    def __init__(self, ray: Any, address: str) -> None:
        """Ask one of them what it works with.

        Raises:
            ClusterError: it lacks this package.
        """
        self._ray, self._address = ray, address
        self._versions = self._get(ray.remote(worker_versions).remote(), "asking for its versions")

    @property
    def versions(self) -> Record:
        """What they work with."""
        return self._versions

    def measure(
        self, points: Mapping[str, Any], work: Callable[[Any], Any] = measure_point
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each point once.

        Raises:
            ClusterError: the cluster is gone, or a point killed several workers one after another.
        """
        make = self._ray.remote(max_retries=_MOST_RETRIES)(work)
        pending = {make.remote(point): name for name, point in points.items()}
        while pending:
            (ready, *_), _ = self._ray.wait(list(pending), num_returns=1)
            name = pending.pop(ready)
            yield name, self._get(ready, str(points[name]))

    def _get(self, future: Any, what: str) -> Any:
        try:
            return self._ray.get(future)
        except self._ray.exceptions.RayError as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ClusterError(f"sweep: a worker at {self._address} failed while {what}: {first}") from None
