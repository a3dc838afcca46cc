"""A sweep on a real cluster, one process of which is killed while it works: nothing lost, nothing counted twice."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

from attention_surgeon.errors import ClusterError
from attention_surgeon.experiments import Backend, Progress, find_run, sweep
from tests.experiments.cluster import Cluster, dask_cluster, free_port

AXES = {"d_k": [128, 256, 512]}
SETTINGS = {"num_draws": 4000}


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    num_workers = getattr(request, "param", 2)
    with (
        dask_cluster(tmp_path, num_workers) as running,
        distributed.Client(running.address, set_as_default=False) as client,
    ):
        client.wait_for_workers(num_workers, timeout=60)
        yield running


def contents(out: Path) -> dict[str, bytes]:
    files = (path for path in (out / "points").rglob("*") if path.is_file() and path.name != "time.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


class Killer:
    """Kills one worker, as soon as some points are done and it is at work on another one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self.was_making = cluster, ()
        self._thread: threading.Thread | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.done == 1 and self._thread is None:
            self._thread = threading.Thread(target=self._kill)
            self._thread.start()

    def _kill(self) -> None:
        victim = self._cluster.workers[0]
        with distributed.Client(self._cluster.address, set_as_default=False) as client:
            name = next(name for name, pid in client.run(os.getpid).items() if pid == victim.pid)
            while not self.was_making:
                running = client.run_on_scheduler(_running, name)
                self.was_making = tuple(running)
            victim.kill()

    def wait(self) -> tuple[str, ...]:
        assert self._thread is not None
        self._thread.join()
        return self.was_making


def _running(name: str, dask_scheduler: distributed.Scheduler) -> list[str]:
    worker = dask_scheduler.workers.get(name)
    return [] if worker is None else [task.key for task in worker.processing]


def test_a_killed_worker_costs_nothing_and_counts_nothing_twice(cluster: Cluster, tmp_path: Path):
    told: list[str] = []
    killer = Killer(cluster)
    here, there = tmp_path / "here", tmp_path / "there"
    result = sweep("growth", AXES, seeds=3, settings=SETTINGS, backend=Backend("dask", cluster.address), out=there,
                   on_progress=killer, on_note=told.append)  # fmt: skip
    in_hand = killer.wait()
    assert cluster.workers[0].wait(10) == -9
    assert cluster.workers[1].poll() is None
    names = {path.name for path in (there / "points").iterdir()}
    assert len(names) == 9
    assert {key.removeprefix("surgeon-") for key in in_hand} <= names
    assert result == sweep("growth", AXES, seeds=3, settings=SETTINGS, backend=Backend(num_jobs=1), out=here)
    assert contents(there) == contents(here)
    table = find_run("growth-sweep", there).tables["points"]
    assert sorted(row["point"] for row in table) == sorted(names)
    assert {row["seeds"] for row in result.records} == {3}


def test_all_workers_gone_or_no_scheduler_is_told_and_what_is_done_is_kept(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from attention_surgeon.experiments import backends_dask

    monkeypatch.setattr(backends_dask, "_WITHOUT_WORKERS", 2.0)
    backend, out, told = Backend("dask", cluster.address), tmp_path / "runs", []

    def kill_workers(progress: Progress) -> None:
        if progress.done == 1:
            for worker in cluster.workers:
                worker.kill()

    with pytest.raises(ClusterError, match=r"all workers at tcp://.* are gone, none came for 2 s; start one"):
        sweep("growth", AXES, seeds=5, settings=SETTINGS, backend=backend, out=out, on_progress=kill_workers,
              on_note=told.append)  # fmt: skip
    assert any("workers lost; what they had in hand is given to others" in note for note in told)
    kept = len(list((out / "points").iterdir()))
    assert 1 <= kept < 15
    with pytest.raises(ClusterError, match=r"has no workers; start one with: dask worker tcp://"):
        sweep("growth", AXES, settings=SETTINGS, backend=backend, out=out)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    begun = time.monotonic()
    with pytest.raises(ClusterError, match=r"^sweep: no Dask scheduler answers at tcp://.*start one with: dask sched"):
        sweep("growth", AXES, settings=SETTINGS, backend=backend, out=out)
    assert time.monotonic() - begun < 20
    assert len(list((out / "points").iterdir())) == kept


@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_a_scheduler_that_stops_is_told(cluster: Cluster, tmp_path: Path):
    def kill_scheduler(progress: Progress) -> None:
        if progress.done == 1:
            cluster.scheduler.kill()

    with pytest.raises(ClusterError, match=r"^sweep: the scheduler at tcp://.* was stopped or restarted\.$"):
        sweep("growth", AXES, seeds=5, settings=SETTINGS, backend=Backend("dask", cluster.address), out=tmp_path,
              on_progress=kill_scheduler)  # fmt: skip


def test_nobody_listens_there(tmp_path: Path):
    begun = time.monotonic()
    with pytest.raises(ClusterError, match=r"^sweep: no Dask scheduler answers at tcp://127\.0\.0\.1:\d+ \("):
        sweep("growth", AXES, backend=Backend("dask", f"tcp://127.0.0.1:{free_port()}"), out=tmp_path / "runs")
    assert time.monotonic() - begun < 20
    assert not (tmp_path / "runs").exists()
