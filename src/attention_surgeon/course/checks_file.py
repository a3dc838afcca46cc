"""The hidden checks file of a unit: `check_...` functions, `PROMISES`, and the `WRONG` and `RIGHT` examples."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from attention_surgeon.errors import LoadError


def load_check_named(file: Path, name: str) -> Callable[..., None]:
    """Return a function of a checks file.

    Raises:
        LoadError: the file or the function is not there.
    """
    checks = load_checks(file)
    if not callable(checks.get(name)):
        raise LoadError(f"{file} has no function {name}, which course.toml asks for.")
    return checks[name]


def load_checks(file: Path) -> dict[str, Any]:
    """Return everything in a checks file; its folder is on the path meanwhile, and not afterwards.

    Raises:
        LoadError: the file is not there.
    """
    if not file.is_file():
        raise LoadError(f"there is no {file}, which course.toml asks for.")
    return _loaded(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _loaded(file: Path, _as_of: int) -> dict[str, Any]:
    """Run a checks file, once for each version: a confined process cannot read it again."""
    spec = importlib.util.spec_from_file_location(f"_checks_in_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} is no Python file, and course.toml asks for it.")
    module = importlib.util.module_from_spec(spec)
    with _on_path(file.parent):
        spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
