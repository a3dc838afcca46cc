"""Keeping the settings of the process while somebody's file is loaded.

A file that sets torch's default dtype, or turns every warning into an error, would otherwise set it for whoever
judges it as well.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

_Setting: TypeAlias = tuple[str, Callable[[], Any], Callable[[Any], object]]


@contextmanager
def settings_kept() -> Iterator[list[str]]:
    """Put torch's and NumPy's settings and the warning filters back afterwards; yield a list for the names of those.

    What the file replaces inside torch (`torch.softmax = ...`) stays replaced: its own functions count on it.
    """
    settings = [(name, get, put, get()) for name, get, put in _settings()]
    changed: list[str] = []
    try:
        with warnings.catch_warnings():
            yield changed
    finally:
        for name, get, put, before in settings:
            if get() != before:  # set_default_device slows torch down even where it changes nothing
                put(before)
                changed.append(name)


def _settings() -> list[_Setting]:
    import numpy as np
    import torch

    return [
        ("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        (
            "torch's default device",
            torch.get_default_device,
            lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        ),
        ("how many threads torch uses", torch.get_num_threads, torch.set_num_threads),
        ("whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        ("torch's precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        ("how NumPy treats errors", np.geterr, lambda errors: np.seterr(**errors)),
    ]
