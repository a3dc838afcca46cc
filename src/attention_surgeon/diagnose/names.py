"""Finding the object that a name means in somebody's module, and saying what else is there."""

import difflib
import inspect
from types import ModuleType
from typing import Any

from attention_surgeon.errors import LoadError

_NOT_JUDGED = ("main", "test_")  # what a file has for running itself


def fetch(module: ModuleType, name: str, shown: str) -> Any:
    """Return the callable of that name; dots reach into classes.

    Args:
        module: The loaded module.
        name: Such as `attention` or `Attention.forward`.
        shown: How the messages call the file.

    Raises:
        LoadError: there is no such name, or it cannot be called; the text lists what is there.
    """
    found: Any = module
    for depth, part in enumerate(name.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            where = " in ".join([*reversed(name.split(".")[:depth]), shown])
            names = _callables(found) if depth else defined_in(module) or _callables(found)
            raise LoadError(f"{where} has no {part}; {_near(part, names)}") from error
    if not callable(found):
        kind = type(found).__name__
        raise LoadError(f"{shown}: {name} is of type {kind} and cannot be called; {_listed(defined_in(module))}")
    return found


def only_candidate(module: ModuleType, shown: str) -> tuple[str, str]:
    """Return the name of the only public function or class that the module defines itself, and a note that says so.

    Raises:
        LoadError: there is none, or more than one.
    """
    names = defined_in(module)
    candidates = [name for name in names if not name.startswith(_NOT_JUDGED)] or names
    if len(candidates) == 1:
        return candidates[0], f"{candidates[0]} is judged, the only public function or class that {shown} defines."
    if candidates:
        raise LoadError(f"{shown}: which one is meant? Write {shown}:{candidates[0]}; {_listed(candidates)}")
    raise LoadError(f"{shown}: nothing to judge; {_listed(candidates)}")


def defined_in(module: ModuleType) -> list[str]:
    """Return the public functions and classes that the module defines itself, in its order; no second names."""
    seen: dict[int, str] = {}
    for name, value in vars(module).items():
        is_own = callable(value) and hasattr(value, "__qualname__") and value.__module__ == module.__name__
        if is_own and not name.startswith("_"):
            seen.setdefault(id(value), name)
    return list(seen.values())


def line_of(value: Any) -> int | None:
    """Return the line where a function or a class is defined, or an instance's class; None if Python cannot say."""
    value = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    try:
        return inspect.getsourcelines(inspect.unwrap(value))[1]
    except (OSError, TypeError, ValueError, SyntaxError):  # built in, made by exec, or wrapped in a circle
        return None


def _callables(value: Any) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_") and callable(getattr(value, name, None))]


def _near(name: str, names: list[str]) -> str:
    by_lower = {other.lower(): other for other in names}
    near = [by_lower[other] for other in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return _listed(names)


def _listed(names: list[str]) -> str:
    if not names:
        return "the file defines no public function and no class (what stands under `if __name__ ...` is not run)."
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"the file defines {', '.join(names[:12])}{more}."
