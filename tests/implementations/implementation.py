"""The two registries of implementations written by hand, apart from the diagnosis: `WRONG` and `VALID`.

A file of implementations decorates its functions and classes; importing the file fills the registry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Target = TypeVar("Target", bound=Callable[..., object])


@dataclass(frozen=True)
class Implementation:
    """One implementation, what it is judged as, and the faults it has (none: it is right)."""

    name: str
    target: Callable[..., object]
    contract: str
    faults: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


WRONG: list[Implementation] = []
VALID: list[Implementation] = []


def wrong(*faults: str, contract: str = "attention", **options: object) -> Callable[[Target], Target]:
    """Register a function or class that has exactly these faults; return it unchanged."""
    if not faults:
        raise ValueError("wrong() needs at least one fault name")
    return _register(WRONG, faults, contract, options)


def valid(contract: str = "attention", **options: object) -> Callable[[Target], Target]:
    """Register a function or class that is right in its own way; return it unchanged."""
    return _register(VALID, (), contract, options)


def _register(
    registry: list[Implementation], faults: tuple[str, ...], contract: str, options: Mapping[str, object]
) -> Callable[[Target], Target]:
    def add(target: Target) -> Target:
        owner = getattr(target, "__name__", type(target).__name__)  # an object that can be called goes by its class
        name = f"{target.__module__.rpartition('.')[2]}.{owner}"
        registry.append(Implementation(name, target, contract, faults, options))
        return target

    return add
