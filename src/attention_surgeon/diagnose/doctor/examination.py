"""The examination: every kind of target is examined, by several processes, and a report written."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from attention_surgeon.diagnose.doctor.examine import (
    answers_of_kind,
    drawn_pairs,
    examine_alternative,
    examine_pair,
    examine_single,
    nearest_faults,
)
from attention_surgeon.diagnose.doctor.healthy import alternatives
from attention_surgeon.diagnose.doctor.report import Nearest, Outcome, Report, Result
from attention_surgeon.diagnose.doctor.targets import KINDS, Kind, find_kind, kinds_of
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import catalogue, faults_of

NUM_DRAWN = 15
"""How many pairs of faults in layers are tried in a quick examination."""

_TWICE, _TWELVE_TIMES = 2, 12
"""Of functions, which answer sooner, so many times as many are tried; of `attention` the most."""

_NAMED: tuple[Result, ...] = ("named", "tied")
_CHUNK = 250
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_COST = {"single": 4, "pair": 5, "valid": 2}
"""About how long one target takes, in hundredths of a second."""

Tell: TypeAlias = Callable[[str, int, int], None]
"""Told `(kind, done, of)` after each task, in targets."""


@dataclass(frozen=True)
class Task:
    """A piece of work for one process: targets of one group and one kind.

    Attributes:
        group: `single`, `pair` or `valid`.
        kind: Name of the kind; of valid code, the name of its contract.
        start: The first of them.
        stop: The one after the last.
        drawn: How many pairs are drawn; None: all.
    """

    group: Literal["single", "pair", "valid"]
    kind: str
    start: int
    stop: int
    drawn: int | None = None

    @property
    def size(self) -> int:
        """How many targets."""
        return self.stop - self.start


@dataclass(frozen=True)
class Done:
    """What a process found."""

    task: Task
    outcomes: tuple[Outcome, ...]
    nearest: Nearest | None = None


def examine(
    kinds: Sequence[Kind] = KINDS, *, drawn: int | None = NUM_DRAWN, workers: int = 2, tell: Tell | None = None
) -> Report:
    """Examine the diagnosis and return what was found.

    Args:
        kinds: Of targets.
        drawn: How many pairs of faults of each kind of layer are tried; of functions twice as many. None: all.
        workers: How many processes work; 1: this one.
        tell: Called after each task.

    Raises:
        OptionError: `workers` is below 1.
    """
    begun = time.perf_counter()
    if workers < 1:
        raise OptionError(f"workers is {workers}, expected at least 1.")
    names = [kind.name for kind in kinds]
    found, told = [], Counter[str]()
    with _workers(workers) as executor:  # they load torch while it is planned what they shall do
        tasks = plan(names, drawn)
        sizes = Counter({name: sum(task.size for task in tasks if task.kind == name) for name in names})
        for done in _work(tasks, executor):
            found.append(done)
            told[done.task.kind] += done.task.size
            if tell is not None:
                tell(done.task.kind, told[done.task.kind], sizes[done.task.kind])
    found.sort(key=lambda done: tasks.index(done.task))
    outcomes = tuple(outcome for done in found for outcome in done.outcomes)
    return Report(
        outcomes=outcomes,
        pairs_in_all=tuple((name, len(answers_of_kind(name).pairs)) for name in names),
        nearest=tuple(done.nearest for done in found if done.nearest is not None),
        seconds=time.perf_counter() - begun,
        never_named=_never_named(outcomes) if {*kinds_of(special=False)} <= {*kinds} else (),
    )


def _never_named(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return the faults that no target showed; those of today's attention are read from operations, not answers."""
    modern = {fault.name for fault in faults_of("modern")}
    named = {outcome.target[0] for outcome in outcomes if outcome.group == "single" and outcome.result in _NAMED}
    return tuple(fault.name for fault in catalogue() if fault.name not in named | modern)


def plan(kinds: Sequence[str], drawn: int | None) -> list[Task]:
    """Return the work to be done for these kinds, in the order of the report."""
    tasks: list[Task] = []
    for kind in kinds:
        tasks.append(Task("single", kind, 0, len(answers_of_kind(kind).faults)))
        number = None if drawn is None else drawn * _share(kind)
        tasks += _chunks("pair", kind, len(drawn_pairs(kind, number)), number)
        tasks += _chunks("valid", kind, sum(one.contract == kind for one in alternatives()), None)
    return tasks


def _share(kind: str) -> int:
    if kind == "attention":
        return _TWELVE_TIMES
    return _TWICE if find_kind(kind).layer is None else 1


def perform(task: Task) -> Done:
    """Do one task."""
    part, nearest = slice(task.start, task.stop), None
    if task.group == "single":
        outcomes = [examine_single(task.kind, fault) for fault in answers_of_kind(task.kind).faults[part]]
        nearest = nearest_faults(answers_of_kind(task.kind))
    elif task.group == "pair":
        outcomes = [examine_pair(task.kind, pair) for pair in drawn_pairs(task.kind, task.drawn)[part]]
    else:
        own = [one for one in alternatives() if one.contract == task.kind]
        outcomes = [examine_alternative(one) for one in own[part]]
    return Done(task, tuple(outcomes), nearest)


def _chunks(group: Literal["pair", "valid"], kind: str, number: int, drawn: int | None) -> Iterator[Task]:
    for start in range(0, number, _CHUNK):
        yield Task(group, kind, start, min(start + _CHUNK, number), drawn)


def _work(tasks: Sequence[Task], executor: Executor | None) -> Iterator[Done]:
    """Yield what was found as it comes, the longest bundles being started first; None: everything is done here."""
    if executor is None:
        yield from map(perform, tasks)
        return
    longest_first = sorted(_bundles(tasks), key=lambda bundle: -sum(task.size * _COST[task.group] for task in bundle))
    for future in as_completed([executor.submit(_perform_all, bundle) for bundle in longest_first]):
        yield from future.result()


@contextlib.contextmanager
def _workers(number: int) -> Iterator[Executor | None]:
    """Start that many processes, and end them; None for a single one."""
    if number == 1:
        yield None
        return
    others = {*multiprocessing.active_children()}
    # Spawned, not forked: a forked child of a process that has used torch's threads may hang.
    executor = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _begin)
    try:
        with _one_thread_each(), _interrupts_unheard():
            for _ in range(number):
                executor.submit(int)  # a worker is started with its first work
        yield executor
    except BaseException:  # Ctrl-C above all: nobody waits for what they are at
        for worker in {*multiprocessing.active_children()} - others:
            worker.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _bundles(tasks: Sequence[Task]) -> list[tuple[Task, ...]]:
    """Put the tasks of one kind together: what one of them has worked out serves the next."""
    return [tuple(task for task in tasks if task.kind == kind) for kind in dict.fromkeys(task.kind for task in tasks)]


def _perform_all(bundle: Sequence[Task]) -> list[Done]:
    return [perform(task) for task in bundle]


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started here multiply with one thread each: NumPy reads this when it is loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_unheard() -> Iterator[None]:
    """Let processes that are started here never hear of Ctrl-C, not even before they reach `_begin`.

    It is only held back: this process hears of it at the end. Blocking alone does not do that: another thread may
    take the signal, and Python then interrupts the main one in the middle of handing a new process its orders.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    heard: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if in_main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _begin() -> None:
    """Set up a worker: one thread, and Ctrl-C left to the process that started it, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
