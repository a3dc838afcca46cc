"""What every experiment hands back: what was asked, what was measured, and what follows from it in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from matplotlib.figure import Figure

Record: TypeAlias = Mapping[str, Any]
"""One measurement: names, and numbers, words, True, False or None."""

Records: TypeAlias = tuple[Record, ...]
"""Measurements with the same names, in the order they were made."""


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
    figures: Mapping[str, Figure] = field(default_factory=dict, compare=False)
