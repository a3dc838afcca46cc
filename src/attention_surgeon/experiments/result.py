"""What every experiment hands back: what was asked, what was measured, and what follows from it in words."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, final

from matplotlib.figure import Figure

Record: TypeAlias = Mapping[str, Any]
"""One measurement: names, and numbers, words, True, False or None."""

Records: TypeAlias = tuple[Record, ...]
"""Measurements with the same names, in the order they were made."""


@final
class Drawings(Mapping):  # of [str, Figure]; a check of types that is told so looks at the first one, which draws it
    """Figures by name, drawn when somebody first looks at them: the points of a sweep show none."""

    def __init__(self, draw: Callable[[], Mapping[str, Figure]]) -> None:
        """Draw nothing yet; `draw` will be called at most once."""
        self._draw = draw

    @cached_property
    def _drawn(self) -> Mapping[str, Figure]:
        return self._draw()

    def __getitem__(self, name: str) -> Figure:
        """Return one figure."""
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._drawn)

    def __len__(self) -> int:
        """Count the figures."""
        return len(self._drawn)

    def __reduce__(self) -> tuple[Callable[..., Mapping[str, Figure]], tuple[Mapping[str, Figure]]]:
        """Draw before it is copied or sent: what draws cannot be sent."""
        return dict, (self._drawn,)


@dataclass(frozen=True)
class Result:
    """The outcome of one experiment.

    Attributes:
        name: The experiment.
        config: The settings it ran with, as plain data.
        records: The main measurements, one mapping each.
        verdict: What the records say, in sentences made from them.
        tables: Further measurements by name, such as the losses of every step.
        figures: The figures by name; not compared.
    """

    name: str
    config: Mapping[str, Any]
    records: Records
    verdict: str
    tables: Mapping[str, Records] = field(default_factory=dict)
    figures: Drawings | Mapping[str, Figure] = field(default_factory=dict, compare=False)
