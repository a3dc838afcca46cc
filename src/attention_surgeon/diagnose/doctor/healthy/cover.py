"""Choosing a few of many combinations so that every piece meets every other."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

from attention_surgeon.testing import Contract, make_contract

Axes: TypeAlias = Mapping[str, Sequence[str]]

Choice: TypeAlias = dict[str, str]

_TRIES = 30


def cover(axes: Axes, *, seed: int = 0, fits: Callable[[Choice], bool] = lambda choice: True) -> list[Choice]:
    """Return combinations of one piece per axis in which every two pieces of different axes that can meet do.

    Each combination is the one of some drawn ones in which most pairs meet for the first time.

    Args:
        axes: The pieces of each axis, by name.
        seed: Of the draw.
        fits: Whether a combination is one at all.

    >>> cover({"a": ["1", "2"], "b": ["3"]})
    [{'a': '2', 'b': '3'}, {'a': '1', 'b': '3'}]
    """
    source = random.Random(seed)
    missing, chosen = _pairs_that_can_meet(axes, source, fits), []
    while missing:
        wanted = sorted(missing)
        drawn = [choice for choice in (_draw(axes, source, wanted) for _ in range(_TRIES)) if fits(choice)]
        best = max(drawn, key=lambda choice: len(missing & _pairs(choice)), default=None)
        if best is not None and missing & _pairs(best):
            chosen.append(best)
            missing -= _pairs(best)
    return chosen


def _draw(axes: Axes, source: random.Random, wanted: Sequence[Any]) -> Choice:
    """Draw a combination that has one of the wanted pairs."""
    pair = source.choice(wanted)
    return {name: source.choice(pieces) for name, pieces in axes.items()} | dict(pair)


def _pairs_that_can_meet(axes: Axes, source: random.Random, fits: Callable[[Choice], bool]) -> set[Any]:
    pieces = [(name, piece) for name in sorted(axes) for piece in axes[name]]
    every = [pair for pair in combinations(pieces, 2) if pair[0][0] != pair[1][0]]
    return {pair for pair in every if any(fits(_draw(axes, source, [pair])) for _ in range(_TRIES))}


def _pairs(choice: Choice) -> set[Any]:
    return set(combinations(sorted(choice.items()), 2))


@dataclass(frozen=True)
class Alternative:
    """One right implementation.

    Attributes:
        contract: Name of its contract.
        name: How it is put together: `@, divided, keep, -1e9, softmax`.
        target: What is judged.
        options: Of the contract.
    """

    contract: str
    name: str
    target: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def make_contract(self) -> Contract:
        """Return the contract, with its options."""
        return make_contract(self.contract, **self.options)
