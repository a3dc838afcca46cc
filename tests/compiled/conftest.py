"""The library, built where there is a compiler, and a count of its calls: to be passed by must not look right."""

import ctypes
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from attention_surgeon.compiled import library as lib


class Counting(ctypes.CDLL):
    """A library that counts which of its functions are called, and which of them left the work to others."""

    def __init__(self, functions: ctypes.CDLL) -> None:
        super().__init__(functions._name)
        self._functions = functions
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., int]:
        function = getattr(self._functions, name)

        def counted(*args: Any) -> int:
            self.calls[name] += 1
            code = function(*args)
            self.refused[name] += code != (1 if name == "attention_spans" else 0)
            return code

        return counted


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, library: str | None) -> Counting:
    """Return the library that all calls go to."""
    if library is not None:
        pytest.skip(library)
    found = lib._loaded()
    assert isinstance(found, ctypes.CDLL), found
    counting = Counting(found)
    monkeypatch.setattr(lib, "_loaded", lambda: counting)
    return counting
