"""Where the points of a sweep are made: on the cores of this machine, or on a Dask or Ray cluster."""

import abc
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, final

from attention_surgeon.errors import LoadError, OptionError
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.settings import suggestion
from attention_surgeon.experiments.sweep_points import measure_point
from attention_surgeon.require import require_count

BACKENDS = ("local", "dask", "ray")
_EXAMPLES = {"dask": "tcp://192.168.0.7:8786", "ray": "192.168.0.7:6379"}


class Workers(abc.ABC):
    """Those who make points; every implementation is final."""

    @property
    @abc.abstractmethod
    def versions(self) -> Record:
        """What all of them work with."""

    @abc.abstractmethod
    def measure(
        self, points: Mapping[str, Any], work: Callable[[Any], Any] = measure_point
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each point once, as they are done, with its outcome, whatever becomes of single workers.

        Args:
            points: What is to be made, by name; the names tell what they are made from.
            work: Makes the outcome of one of them, in another process; it may depend on nothing but the point.

        Raises:
            ClusterError: there is nobody left to work, or a point ends every worker that takes it up.
        """


@final
@dataclass(frozen=True)
class Backend:
    """Which workers are wanted.

    Attributes:
        name: "local", "dask" or "ray".
        address: Of the cluster; local has none.
        num_jobs: Processes on this machine; None: one for each core. A cluster has as many as it has.

    >>> Backend("dask", "tcp://192.168.0.7:8786").num_jobs is None
    True
    """

    name: str = "local"
    address: str | None = None
    num_jobs: int | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.name not in BACKENDS:
            raise OptionError(
                f"sweep: there is no backend {self.name!r}; there are {', '.join(BACKENDS)}."
                f"{suggestion(self.name, BACKENDS)}"
            )
        if self.name == "local":
            self._require_no_address()
        elif not self.address:
            raise OptionError(
                f"sweep: the backend {self.name} needs the address of a cluster, such as "
                f"{_EXAMPLES[self.name]}; without a backend all cores of this machine work."
            )
        if self.num_jobs is not None:
            require_count(self.num_jobs, "jobs", "sweep")
            if self.name != "local":
                raise OptionError(
                    f"sweep: jobs counts processes on this machine; a {self.name} cluster has its own workers."
                )

    def __str__(self) -> str:
        """Say where: `this machine`, `dask at tcp://192.168.0.7:8786`."""
        return "this machine" if self.name == "local" else f"{self.name} at {self.address}"

    def _require_no_address(self) -> None:
        if self.address is not None:
            raise OptionError(
                f"sweep: the address {self.address} is of a cluster, and the backend is local; name it: dask or ray."
            )


def require_package(name: str, install: str, backend: str) -> ModuleType:
    """Return a package that not everybody has.

    Raises:
        LoadError: it is not installed; the text has the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != name.split(".")[0]:
            raise
        raise LoadError(
            f"sweep: the backend {backend} needs the package {name.split('.')[0]}, which is not installed; "
            f"add it with: pip install '{install}' (or uv pip install '{install}')."
        ) from None
