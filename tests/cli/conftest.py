"""Calling `surgeon` within a test."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from attention_surgeon.cli.app import run


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Surgeon = Callable[..., Ran]


@pytest.fixture
def surgeon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Surgeon:
    def call(*arguments: str | Path, columns: int = 80, stdin: bytes = b"") -> Ran:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return call
