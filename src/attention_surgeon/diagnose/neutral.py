"""Keeping the settings of the process while somebody's file is loaded.

A file that sets torch's default dtype, or turns every warning into an error, would otherwise set it for whoever
judges it as well.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

_Setting: TypeAlias = tuple[Callable[[], Any], Callable[[Any], object]]


@contextmanager
def settings_kept() -> Iterator[None]:
    """Put torch's and NumPy's settings and the warning filters back afterwards.

    What the file replaces inside torch (`torch.softmax = ...`) stays replaced: its own functions count on it.
    """
    settings = [(get, put, get()) for get, put in _settings()]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for get, put, before in settings:
            if get() != before:  # set_default_device slows torch down even where it changes nothing
                put(before)


def _settings() -> list[_Setting]:
    import numpy as np
    import torch

    return [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (np.geterr, lambda errors: np.seterr(**errors)),
    ]
