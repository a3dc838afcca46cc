"""Work on several cores: each lane is a thread of its own, in which torch uses one thread.

A tile is too small to be shared between cores; whole blocks of queries are not. Threads serve because torch lets go of
Python's lock while it computes.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Item = TypeVar("Item")


LEAST_CELLS = 2**19
"""Scores below which starting threads takes longer than they save."""


def number_of_lanes(device: torch.device, num_cells: int) -> int:
    """Return how many lanes are worth it: torch's number of threads on a CPU, 1 where there is little to do."""
    if device.type != "cpu" or num_cells < LEAST_CELLS:
        return 1
    return torch.get_num_threads()


def run_in_lanes(work: Callable[[int, Item], None], shares: Sequence[Iterable[Item]]) -> None:
    """Call `work(lane, item)` for every item of every share, each share in a lane of its own.

    One share is worked on by the caller itself. Otherwise the caller waits: an error in a lane ends the others at
    their next item and is raised here, and so is Ctrl-C; no thread is left when this returns or raises.

    >>> done = []
    >>> run_in_lanes(lambda lane, item: done.append((lane, item)), [[1, 2], [3]])
    >>> sorted(done)
    [(0, 1), (0, 2), (1, 3)]
    """
    if len(shares) == 1:
        for item in shares[0]:
            work(0, item)
        return
    stop = threading.Event()
    is_inference = torch.is_inference_mode_enabled()  # modes belong to a thread, so each lane enters them anew

    def lane(number: int) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode(is_inference), torch.no_grad():
            for item in shares[number]:
                if stop.is_set():
                    return
                work(number, item)

    threads_before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(shares), thread_name_prefix="attention lane") as pool:
            try:
                lanes = [pool.submit(lane, number) for number in range(len(shares))]
                wait(lanes, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()  # all have ended, or one has failed, or Ctrl-C was pressed
    finally:
        torch.set_num_threads(threads_before)  # a lane's 1 is also what threads to come would start with
    for each in lanes:
        each.result()
