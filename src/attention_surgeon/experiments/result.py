"""What every experiment hands back: what was asked, what was measured, and what follows from it in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """The outcome of one experiment.

    Attributes:
        name: The experiment.
        config: The settings it ran with, as plain data.
        records: One mapping per measurement, all with the same keys, in the order they were made.
        verdict: What the records say, in sentences made from them.
    """

    name: str
    config: Mapping[str, Any]
    records: tuple[Mapping[str, float | int | bool], ...]
    verdict: str
