"""A real Dask cluster of this machine: a scheduler and workers, each a process that nobody watches over."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler listens, and the processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]


@contextlib.contextmanager
def dask_cluster(folder: Path, num_workers: int = 2) -> Iterator[Cluster]:
    """Yield a cluster; at the end all of its processes are gone."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(_process("dask_scheduler", folder, "--host", "127.0.0.1", "--port", port))
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        workers = [stack.enter_context(_process("dask_worker", folder, address, *options)) for _ in range(num_workers)]
        yield Cluster(address, scheduler, tuple(workers))


def free_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def _process(module: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *words, "--no-dashboard"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_LOGGING__DISTRIBUTED": "error"}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
