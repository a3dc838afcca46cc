"""The rows of the scaling experiment, checked and sorted into curves."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from attention_surgeon.errors import ArgumentTypeError, NonFiniteError, OptionError
from attention_surgeon.require import require_count, require_switch

Row: TypeAlias = Mapping[str, Any]


class Curve(NamedTuple):
    """One measure over d_k, and its spread where the rows give it."""

    d_k: list[int]
    middle: list[float]
    low: list[float] | None
    high: list[float] | None

    def values(self) -> list[float]:
        """Return every number that has to fit into the chart."""
        return [*self.middle, *(self.low or ()), *(self.high or ())]


def checked_curves(rows: Sequence[Row], measures: Sequence[str], caller: str) -> dict[str, dict[bool, Curve]]:
    """Return for each measure its curve with the scale (True) and without (False), whichever there are.

    Raises:
        ArgumentTypeError, OptionError, NonFiniteError: as their texts say.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        raise ArgumentTypeError(
            f"{caller}: rows is no list of mappings, expected [{{'d_k': 16, 'scaled': True, ...}}]."
        )
    if not rows:
        raise OptionError(f"{caller}: rows is empty; run the experiment first.")
    for number, row in enumerate(rows):
        _check_setting(row, number, caller)
    ordered = sorted(rows, key=lambda row: (not row["scaled"], row["d_k"]))
    for before, row in pairwise(ordered):
        if (before["d_k"], before["scaled"]) == (row["d_k"], row["scaled"]):
            raise OptionError(
                f"{caller}: two rows have d_k={row['d_k']} and scaled={row['scaled']}; "
                f"average repetitions first, their spread goes into <name>_low and <name>_high."
            )
    groups = {scaled: [row for row in ordered if row["scaled"] is scaled] for scaled in (True, False)}
    return {
        measure: {scaled: _curve(group, measure, caller) for scaled, group in groups.items() if group}
        for measure in measures
    }


def _check_setting(row: Row, number: int, caller: str) -> None:
    for key in ("d_k", "scaled"):
        if key not in row:
            raise OptionError(f"{caller}: rows[{number}] has no {key!r}; it has {', '.join(map(str, row))}.")
    require_count(row["d_k"], f"rows[{number}]['d_k']", caller)
    require_switch(row["scaled"], f"rows[{number}]['scaled']", caller)


def _curve(rows: Sequence[Row], measure: str, caller: str) -> Curve:
    sizes = [row["d_k"] for row in rows]
    low, high = f"{measure}_low", f"{measure}_high"
    has_spread = [low in row and high in row for row in rows]
    middle = [_number(row, measure, caller) for row in rows]
    if not all(has_spread):
        return Curve(sizes, middle, None, None)
    return Curve(
        sizes, middle, [_number(row, low, caller) for row in rows], [_number(row, high, caller) for row in rows]
    )


def _number(row: Row, name: str, caller: str) -> float:
    where = f"{caller}: {name} at d_k={row['d_k']}, scaled={row['scaled']}"
    if name not in row:
        raise OptionError(f"{where} is missing; the row has {', '.join(map(str, row))}.")
    value = row[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ArgumentTypeError(f"{where} is {value!r}, expected a number; call .item() on a tensor.")
    if not math.isfinite(value):
        raise NonFiniteError(f"{where} is {value}, expected a finite number.")
    if name.startswith("score_gradient"):
        if value <= 0:
            raise OptionError(f"{where} is {value}, expected a number above 0: its axis is logarithmic.")
    elif not 0 <= value <= 1:
        raise OptionError(f"{where} is {value}, expected a number from 0 to 1.")
    return float(value)
