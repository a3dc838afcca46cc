"""What the judge leaves as it was in the process: sources of random numbers, and the threads of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from attention_surgeon.threads import one_thread


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave torch's and NumPy's global sources of random numbers as they were."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Judge with one thread, and leave everything as it was: the target may draw, and the judge sets seeds."""
    with random_state_kept(), one_thread():
        yield
