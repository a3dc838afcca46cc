"""How the library is built, found and done without."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from attention_surgeon.compiled import build, computed_by_pytorch, who_computes
from attention_surgeon.compiled import library as lib
from attention_surgeon.errors import OptionError
from attention_surgeon.kernels import tiled_attention


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty cache, of a process that has not looked for the library yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(lib.SWITCH, raising=False)
    monkeypatch.delenv("CC", raising=False)
    lib._loaded.cache_clear()
    yield tmp_path / "attention-surgeon" / "compiled"
    lib._loaded.cache_clear()


def compiler(folder: Path, script: str) -> Path:
    """Return a compiler that does what a shell script does."""
    place = folder / "own-cc"
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return place


def test_it_is_built_once_and_then_found(fresh: Path) -> None:
    if lib._compiler() is None:
        pytest.skip("there is no C compiler")
    assert who_computes() == "PyTorch: the library is not built; build it by: python -m attention_surgeon.compiled"
    first = build()
    assert who_computes() == f"compiled: {first}"
    made = first.stat().st_mtime_ns
    assert build() == first
    assert first.stat().st_mtime_ns == made
    assert [each.name for each in fresh.iterdir()] == [first.name]


def test_the_command_says_who_computes(fresh: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attention_surgeon.compiled"],
        env=os.environ | {"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("The compiled library needs a C compiler, and none of cc, gcc, clang is on the PATH")
    assert "Without it attention is computed by PyTorch" in done.stdout
    assert not done.stderr


def test_no_compiler(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert who_computes() == "PyTorch: there is no C compiler to build the library with"
    with pytest.raises(OptionError, match="needs a C compiler"):
        build()
    x = torch.randn(1, 2, 70, 16)
    assert tiled_attention(x, x, x).shape == x.shape


def test_a_compiler_that_fails(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = compiler(tmp_path, "echo first; echo 'x.h:1: error: no such processor' >&2; exit 3")
    monkeypatch.setenv("CC", f"{own} -some -options")
    with pytest.raises(OptionError, match=r"own-cc ended with 3: x.h:1: error: no such processor"):
        build()
    assert not [*fresh.iterdir()]


def test_no_place_to_keep_it(fresh: Path) -> None:
    fresh.parent.parent.mkdir(exist_ok=True)
    fresh.parent.write_text("a file where a folder should be")
    with pytest.raises(OptionError, match=r"cannot be kept in .*compiled \(Not a directory\); XDG_CACHE_HOME names"):
        build()


def test_a_library_that_cannot_be_loaded(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = compiler(tmp_path, 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"')
    monkeypatch.setenv("CC", str(own))
    place = build()
    assert who_computes().startswith(f"PyTorch: {place} cannot be loaded")
    x = torch.randn(1, 2, 70, 16)
    assert tiled_attention(x, x, x).shape == x.shape


def test_the_name_says_for_which_processor(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = lib._place()
    monkeypatch.setattr(lib, "_processor", lambda: "another one")
    assert lib._place() != here


def test_it_can_be_switched_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lib.SWITCH, "0")
    assert who_computes() == "PyTorch: ATTENTION_SURGEON_COMPILED is 0"
    with computed_by_pytorch(), computed_by_pytorch():
        assert who_computes().startswith("PyTorch: it was asked to")
    assert who_computes() == "PyTorch: ATTENTION_SURGEON_COMPILED is 0"
