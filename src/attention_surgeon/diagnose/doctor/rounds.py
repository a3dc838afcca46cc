"""The round: every kind of target is examined, by several processes, and a report written."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from attention_surgeon.diagnose.doctor.examine import (
    drawn_pairs,
    examine_alternative,
    examine_pair,
    examine_single,
    ward,
)
from attention_surgeon.diagnose.doctor.healthy import alternatives
from attention_surgeon.diagnose.doctor.nearest import nearest_faults
from attention_surgeon.diagnose.doctor.patients import KINDS
from attention_surgeon.diagnose.doctor.report import Nearest, Outcome, Report
from attention_surgeon.errors import OptionError

ALL_PAIRS_OF = ("attention",)
"""The kinds of which every pair is tried in any round."""

NUM_DRAWN = 200
"""How many pairs of each other kind are tried in a quick round."""

_CHUNK = 250

Tell: TypeAlias = Callable[[int, int], None]
"""Told `(done, of)` after each task, in targets."""


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
    kinds: Sequence[str] | None = None, *, drawn: int | None = NUM_DRAWN, workers: int = 2, tell: Tell | None = None
) -> Report:
    """Examine the diagnosis and return what was found.

    Args:
        kinds: Names of `KINDS`; None: all.
        drawn: How many pairs of faults of each kind are tried; all of `attention`. None: all of every kind.
        workers: How many processes work; 1: this one.
        tell: Called with how many targets are done, of how many.

    Raises:
        OptionError: there is no such kind, or `workers` is below 1.
    """
    begun = time.perf_counter()
    chosen = _chosen(kinds)
    if workers < 1:
        raise OptionError(f"workers is {workers}, expected at least 1.")
    tasks = plan(chosen, drawn)
    total, found = sum(task.size for task in tasks), []
    for done in _work(tasks, workers):
        found.append(done)
        if tell is not None:
            tell(sum(part.task.size for part in found), total)
    found.sort(key=lambda done: tasks.index(done.task))
    return Report(
        outcomes=tuple(outcome for done in found for outcome in done.outcomes),
        pairs_in_all=tuple((kind, len(ward(kind).pairs)) for kind in chosen),
        nearest=tuple(done.nearest for done in found if done.nearest is not None),
        seconds=time.perf_counter() - begun,
    )


def plan(kinds: Sequence[str], drawn: int | None) -> list[Task]:
    """Return the work to be done for these kinds, in the order of the report."""
    tasks: list[Task] = []
    for kind in kinds:
        tasks.append(Task("single", kind, 0, len(ward(kind).faults)))
        number = None if kind in ALL_PAIRS_OF else drawn
        tasks += _chunks("pair", kind, len(drawn_pairs(kind, number)), number)
        tasks += _chunks("valid", kind, sum(one.contract == kind for one in alternatives()), None)
    return tasks


def perform(task: Task) -> Done:
    """Do one task."""
    part, nearest = slice(task.start, task.stop), None
    if task.group == "single":
        outcomes = [examine_single(task.kind, fault) for fault in ward(task.kind).faults[part]]
        nearest = nearest_faults(ward(task.kind))
    elif task.group == "pair":
        outcomes = [examine_pair(task.kind, pair) for pair in drawn_pairs(task.kind, task.drawn)[part]]
    else:
        own = [one for one in alternatives() if one.contract == task.kind]
        outcomes = [examine_alternative(one) for one in own[part]]
    return Done(task, tuple(outcomes), nearest)


def _chunks(group: Literal["pair", "valid"], kind: str, number: int, drawn: int | None) -> Iterator[Task]:
    for start in range(0, number, _CHUNK):
        yield Task(group, kind, start, min(start + _CHUNK, number), drawn)


def _chosen(kinds: Sequence[str] | None) -> list[str]:
    known = [kind.name for kind in KINDS]
    for kind in kinds or ():
        if kind not in known:
            raise OptionError(f"there is no kind {kind!r} of target; the kinds are {'; '.join(known)}.")
    return [kind for kind in known if kinds is None or kind in kinds]


def _work(tasks: Sequence[Task], workers: int) -> Iterator[Done]:
    """Yield what was found as it comes, the largest tasks being started first."""
    largest_first = sorted(tasks, key=lambda task: (-task.size, task.kind))
    if workers == 1:
        yield from map(perform, largest_first)
        return
    # Spawned, not forked: a forked child of a process that has used torch's threads may hang.
    with multiprocessing.get_context("spawn").Pool(workers, _begin) as pool:
        yield from pool.imap_unordered(perform, largest_first)


def _begin() -> None:
    """Set up a worker: one thread, and Ctrl-C is left to the process that started it, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
