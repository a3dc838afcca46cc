"""Large work on several cores: each worker is a thread of its own, in which torch uses one thread.

To share every tile between the cores takes a moment each time; whole blocks of queries need no sharing. Threads serve
because torch lets go of Python's lock while it computes.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from attention_surgeon.threads import one_thread

Item = TypeVar("Item")


LEAST_CELLS = 2**26
"""Scores below which torch's own threads, which share every product, are faster; measured on two cores."""


@contextmanager
def workers_for(device: torch.device, num_cells: int) -> Iterator[int]:
    """Yield how many workers are worth it: torch's number of threads on a CPU, 1 where there is little to do.

    Where there are several, the caller's own torch uses one thread meanwhile: threads of torch's that have nothing
    to do wait actively for some milliseconds, on the cores that the workers need.
    """
    if device.type != "cpu" or num_cells < LEAST_CELLS or torch.get_num_threads() == 1:
        yield 1
        return
    number = torch.get_num_threads()
    with one_thread():
        yield number


def run_in_workers(work: Callable[[int, Item], None], shares: Sequence[Iterable[Item]]) -> None:
    """Call `work(worker, item)` for every item of every share, each share in a worker of its own.

    One share is worked on by the caller itself. Otherwise the caller waits: an error in a worker ends the others at
    their next item and is raised here, and so is Ctrl-C; no thread is left when this returns or raises.

    >>> done = []
    >>> run_in_workers(lambda worker, item: done.append((worker, item)), [[1, 2], [3]])
    >>> sorted(done)
    [(0, 1), (0, 2), (1, 3)]
    """
    if len(shares) == 1:
        for item in shares[0]:
            work(0, item)
        return
    stop = threading.Event()
    is_inference = torch.is_inference_mode_enabled()  # modes belong to a thread, so each worker enters them anew

    def worker(number: int) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode(is_inference), torch.no_grad(), _set_fwd_grad_enabled(False):
            for item in shares[number]:
                if stop.is_set():
                    return
                work(number, item)

    with (
        one_thread(),  # the caller waits; and a worker's 1 is also what threads to come would start with
        ThreadPoolExecutor(len(shares), thread_name_prefix="attention worker") as pool,
    ):
        try:
            workers = [pool.submit(worker, number) for number in range(len(shares))]
            wait(workers, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # all have ended, or one has failed, or Ctrl-C was pressed
    for each in workers:
        each.result()
