"""Work on several cores: each lane is a thread of its own, in which torch uses one thread.

A tile is too small to be shared between cores; whole blocks of queries are not. Threads serve because torch lets go of
Python's lock while it computes.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def number_of_lanes(device: torch.device, num_cells: int, least_cells: int) -> int:
    """Return how many lanes are worth it: torch's number of threads on a CPU, 1 where there is little to do."""
    if device.type != "cpu" or num_cells < least_cells:
        return 1
    return torch.get_num_threads()


def run_in_lanes(work: Callable[[int, Item], None], shares: Sequence[Iterable[Item]]) -> None:
    """Call `work(lane, item)` for every item of every share, each share in a lane of its own.

    One share is worked on by the caller itself. Otherwise the caller waits: an error in a lane ends the others at
    their next item and is raised here, and so is Ctrl-C; no thread is left when this returns or raises.
    """
    if len(shares) == 1:
        for item in shares[0]:
            work(0, item)
        return
    threads_before = torch.get_num_threads()
    is_inference = torch.is_inference_mode_enabled()
    stop, failures = threading.Event(), []

    def lane(number: int) -> None:
        torch.set_num_threads(1)  # of this thread; also the default of threads to come, so it is set back below
        try:
            with torch.inference_mode(is_inference), torch.no_grad():
                for item in shares[number]:
                    if stop.is_set():
                        return
                    work(number, item)
        except BaseException as failure:  # handed to the caller, whatever it is
            failures.append(failure)
            stop.set()

    threads = [threading.Thread(target=lane, args=(number,), daemon=True) for number in range(len(shares))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        torch.set_num_threads(threads_before)
    if failures:
        raise failures[0]
