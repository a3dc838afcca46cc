"""Ours and its peers measured in one run: time by turns, memory in a process of its own, cost against size.

    timings = alternate({"ours": ours, "SDPA": sdpa})     one call of each, then one of each again, ...
    timings["ours"].median                                seconds
    ratio(timings["ours"], timings["SDPA"]).median        ours in units of the peer's, turn by turn
    peak_extra_memory("benchmarks.kernels:tiled", n=4096) bytes, of a fresh process
    cost_exponent([1024, 2048, 4096], seconds)            2 if twice the size costs four times as much

Whatever else the machine does falls on all contenders alike, because they take turns, and a ratio is taken within a
turn. So a ratio means something on a busy machine too; seconds do so only on a quiet one.
"""

import argparse
import ctypes
import gc
import importlib
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], object]

_ROOT = Path(__file__).parents[1]
_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timing:
    """How often something was measured, and what came out; seconds, or a ratio of seconds.

    Attributes:
        taken: One number for each turn that counted, in order.
    """

    taken: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.taken)

    @property
    def spread(self) -> tuple[float, float]:
        """The first and the third quartile; the least and the largest where there are fewer than four."""
        if len(self.taken) < 4:
            return min(self.taken), max(self.taken)
        low, _, high = statistics.quantiles(self.taken, n=4, method="inclusive")
        return low, high


def alternate(
    contenders: Mapping[str, Work], turns: int = 7, warm_up: int = 1, at_most: float = math.inf
) -> dict[str, Timing]:
    """Time all contenders by turns.

    Each turn calls every contender once, and every other turn in the opposite order, so that nobody always follows
    the same one. The garbage collector waits until a turn is over.

    Args:
        contenders: What to call, by name.
        turns: How many turns count.
        warm_up: How many turns before them do not.
        at_most: Seconds after which no further turn is begun; one turn always counts.

    Returns:
        One timing for each contender, all of the same number of turns.
    """
    for _ in range(warm_up):
        for work in contenders.values():
            work()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    begun = time.perf_counter()
    with _uncollected():
        for turn in range(turns):
            if turn and time.perf_counter() - begun > at_most:
                break
            for name in list(contenders)[:: -1 if turn % 2 else 1]:
                taken[name].append(_seconds(contenders[name]))
            gc.collect()
    return {name: Timing(tuple(each)) for name, each in taken.items()}


def _seconds(work: Work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector away, and what is there already out of its sight, so that a call of it is short."""
    was_on = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


def ratio(ours: Timing, peer: Timing) -> Timing:
    """Return ours in units of the peer's, turn by turn: below 1 is faster."""
    return Timing(tuple(one / other for one, other in zip(ours.taken, peer.taken, strict=True)))


def cost_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return p of the cost that grows as size to the power p: the slope of a least-squares line through the logs."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    return statistics.linear_regression(xs, ys).slope


def peak_extra_memory(maker: str, timeout: float = 600.0, **options: object) -> int | None:
    """Return by how many bytes a call raises the memory of a fresh process at its highest, its result included.

    Args:
        maker: "module:function". The function is called with the options, prepares the inputs and returns the work
            to be measured, a callable without arguments. What it allocates itself does not count.
        timeout: Seconds after which the process is ended.
        options: Anything that JSON can carry.

    Returns:
        The bytes; None where the system does not tell them (it is read from Linux's /proc).

    Raises:
        MemoryError: the process was ended, as a system does with one that wants too much.
        subprocess.CalledProcessError: the maker or its work raised; what it printed has gone to stderr.
        subprocess.TimeoutExpired: it took too long.
    """
    if not _FORGET_PEAK.exists():
        return None
    command = [sys.executable, "-m", "benchmarks.side_by_side", maker, json.dumps(options)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=timeout, check=False)
    if done.returncode < 0:
        raise MemoryError(f"{maker} with {options} was ended by signal {-done.returncode}")
    done.check_returncode()
    return int(done.stdout.split()[-1])


def _measure_here(maker: str, options: Mapping[str, object]) -> int:
    """Measure in this process, which has done nothing else."""
    module, _, name = maker.partition(":")
    work: Work = getattr(importlib.import_module(module), name)(**options)
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc: what the maker has freed would be used again
    if trim is not None:
        trim(0)
    _FORGET_PEAK.write_text("5", encoding="ascii")  # proc(5): resets VmHWM, the highest resident size
    before = _bytes_of("VmRSS")
    work()
    return max(0, _bytes_of("VmHWM") - before)


def _bytes_of(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found, f"{_STATUS} does not tell {field}"
    return 1024 * int(found[1])


def main() -> None:
    """Measure the memory of one maker's work in this process, and print the bytes."""
    parser = argparse.ArgumentParser(description="the peak of the extra memory of one piece of work, in bytes")
    parser.add_argument("maker", help="module:function, which returns the work")
    parser.add_argument("options", nargs="?", default="{}", help="what the function is called with, as JSON")
    given = parser.parse_args()
    print(_measure_here(given.maker, json.loads(given.options)))


if __name__ == "__main__":
    main()
