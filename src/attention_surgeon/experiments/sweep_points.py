"""One point of a sweep, from its settings to a folder: made by a worker anywhere, written once by whoever asked.

The folder is named by what is in it: a hash over experiment, settings, seed and versions. So a point that two workers
made, because one of them was thought to be lost, is one point; one that lies there already need not be made again.
"""

import dataclasses
import hashlib
import json
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

from attention_surgeon.errors import ClusterError, FileFormatError, SurgeonError
from attention_surgeon.experiments.bench import Bench, make_folder
from attention_surgeon.experiments.registry import experiment_named
from attention_surgeon.experiments.result import Record, Result
from attention_surgeon.experiments.runs import (
    POINTS,
    SavedRun,
    describe,
    finish_run,
    load_run,
    versions_here,
    write_start,
)
from attention_surgeon.experiments.sweep_config import Point
from attention_surgeon.files import file_access_error
from attention_surgeon.threads import one_thread

_DIGITS = 16
_ONE_AT_A_TIME = threading.Lock()
"""A training sets the seed of the whole process, so two points must never share one at the same time."""


@final
@dataclass(frozen=True)
class Measured:
    """What a worker sends back.

    Attributes:
        result: What was found, without figures.
        seconds: How long it took.
        versions: Of everything that had a part in it.
    """

    result: Result
    seconds: float
    versions: Record


Outcome: TypeAlias = Measured | SurgeonError
"""A point that was made, or why it cannot be."""


def measure_point(point: Point) -> Outcome:
    """Run one point, in whatever process this is, on one core: its numbers then depend on nothing but its settings."""
    experiment = experiment_named(point.experiment)
    with _ONE_AT_A_TIME, one_thread():
        begun = time.monotonic()
        try:
            result = experiment.run(point.config, Bench())
        except SurgeonError as error:
            return type(error)(str(error))
        return Measured(dataclasses.replace(result, figures={}), time.monotonic() - begun, versions_here())


def worker_versions() -> dict[str, Any]:
    """Return the versions of everything in this process that has a part in the numbers of a point."""
    with _ONE_AT_A_TIME, one_thread():
        return versions_here()


@final
@dataclass(frozen=True)
class PointStore:
    """The folder of all points under `root`, made by workers with these versions.

    Attributes:
        root: Where the runs are kept.
        versions: Of the workers.
    """

    root: Path
    versions: Record

    def name(self, point: Point) -> str:
        """Return the name of its folder: `scaling-` and 16 digits that stand for everything it is made from."""
        described = self._describe(point)
        described["command"] = None  # another way to say the same
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
        return f"{point.experiment}-{digest[:_DIGITS]}"

    def find(self, point: Point) -> SavedRun | None:
        """Return the point if it was made before; one that is damaged counts as not made."""
        folder = self._folder(point)
        if not folder.exists():
            return None
        try:
            run = load_run(folder)
        except SurgeonError:
            return None
        described = self._describe(point)
        is_it = run.is_finished and (run.config, run.versions) == (described["config"], described["versions"])
        return run if is_it else None

    def keep(self, point: Point, measured: Measured) -> None:
        """Write a point, whole or not at all; if it lies there already, what lies there stays.

        Raises:
            ClusterError: it was made with other versions than those the sweep was begun with.
            FileAccessError: it cannot be written.
        """
        require_same_versions(self.versions, measured.versions, f"the worker that made {point}")
        final_folder = self._folder(point)
        staging = final_folder.with_name(f".{final_folder.name}-{uuid.uuid4().hex[:8]}")
        make_folder(staging)
        try:
            write_start(staging, self._describe(point))
            finish_run(staging, measured.result, measured.seconds)
            self._publish(staging, point)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def load(self, point: Point) -> SavedRun:
        """Return a point that was made.

        Raises:
            FileFormatError: it is not there any more, or damaged.
        """
        run = self.find(point)
        if run is None:
            raise FileFormatError(f"{self._folder(point)} is gone or damaged; run the same command again to make it.")
        return run

    def _publish(self, staging: Path, point: Point) -> None:
        final_folder = self._folder(point)
        if final_folder.exists() and self.find(point) is None:
            shutil.rmtree(final_folder, ignore_errors=True)
        try:
            staging.rename(final_folder)
        except OSError as error:
            if self.find(point) is None:  # else somebody else made the same in the meantime
                raise file_access_error("write", final_folder, error) from error

    def _folder(self, point: Point) -> Path:
        return self.root / POINTS / self.name(point)

    def _describe(self, point: Point) -> dict[str, Any]:
        return describe(experiment_named(point.experiment), point.config, point.command, self.versions)


def require_same_versions(wanted: Record, found: Record, where: str) -> None:
    """Refuse a worker whose numbers may be others.

    Raises:
        ClusterError: it names what differs.
    """
    different = [f"{name} {found.get(name)}, not {wanted[name]}" for name in wanted if found.get(name) != wanted[name]]
    if different:
        raise ClusterError(
            f"sweep: {where} has {', '.join(different)}, so its numbers would not compare; install the same everywhere."
        )
