"""The hidden checks file of a unit: `check_...` functions, `PROMISES`, and the `WRONG` and `RIGHT` examples."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    spec = importlib.util.spec_from_file_location(f"_checks_in_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise LoadError(f"there is no {file}, which course.toml asks for.")
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
