"""What a learner's file must leave as it found it, in the process where it is judged."""

import builtins
import contextlib
import math
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, final

_WATCHED = (
    "torch",
    "torch.nn.functional",
    "torch.linalg",
    "numpy",
    "numpy.linalg",
    "attention_surgeon.course.asked",
    "attention_surgeon.course.inside",
    "attention_surgeon.diagnose.diagnosis",
    "attention_surgeon.diagnose.judge",
    "attention_surgeon.testing.answer",
    "attention_surgeon.testing.check",
    "attention_surgeon.testing.steadiness",
)


@final
class Guard:
    """Looks twice: before the file is loaded and after it was judged."""

    def __init__(self) -> None:
        """Look for the first time."""
        self._before = dict(_functions())
        self._threads = {thread.ident for thread in threading.enumerate()}
        self._settings = _settings()
        self._folder = os.getcwd()

    def replaced(self) -> list[str]:
        """Return the functions of torch, NumPy, Python or the judge that are not what they were."""
        now = dict(_functions())
        return sorted(name for name, value in self._before.items() if now.get(name) is not value)

    def left_behind(self) -> list[str]:
        """Return sentences about settings that were changed, threads and processes that still run."""
        said = []
        now = _settings()
        for name, value in self._settings.items():
            if now[name] != value:
                said.append(
                    f"it changes {name} for everybody, from {value} to {now[name]}; set it back where you use it."
                )
        if os.getcwd() != self._folder:
            said.append(f"it changes the working folder to {os.getcwd()}; open files by their whole path instead.")
        left = [thread.name for thread in threading.enumerate() if thread.ident not in self._threads]
        if left:
            said.append(f"it leaves a thread running ({left[0]}), which was ended; wait for it with join().")
        if _has_children():
            said.append("it leaves a process running, which was ended; wait for it, or do without.")
        return said


def _functions() -> Iterator[tuple[str, Any]]:
    import torch

    modules: list[ModuleType] = [builtins, math, *(sys.modules[name] for name in _WATCHED if name in sys.modules)]
    for module in modules:
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("__"):
                yield f"{module.__name__}.{name}".removeprefix("builtins."), value
    for name, value in vars(torch.Tensor).items():
        if callable(value) and not name.startswith("__"):
            yield f"torch.Tensor.{name}", value


def _settings() -> dict[str, Any]:
    import numpy as np
    import torch

    return {
        "torch's default dtype": torch.get_default_dtype(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "torch's default device": str(torch.get_default_device()),
        "how NumPy treats division by zero": np.geterr()["divide"],
    }


def _has_children() -> bool:
    with contextlib.suppress(ChildProcessError, AttributeError):
        return os.waitpid(-1, os.WNOHANG)[0] == 0
    return False
