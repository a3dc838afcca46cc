"""Records as tables of the page: what a person reads, without the long texts and without the spreads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.experiments.result import Records
from attention_surgeon.experiments.value_text import value_text

_SPREAD = ("_low", "_median", "_high")
_SAMPLE = "sample"
_MANY = 16


@final
@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        caption: What it holds.
        columns: Their names.
        rows: Cells as text; the first of a row names it.
        are_numbers: For each column, whether it is set to the right.
        is_long: Whether it is folded away until it is asked for.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    are_numbers: tuple[bool, ...]
    is_long: bool = False


def record_table(records: Records, caption: str) -> PageTable:
    """Return the records as a table.

    >>> record_table(({"model": "causal", "training_bits": 2.5, "sample": "The"},), "Measured").columns
    ('model', 'training bits')
    """
    names = [name for name in (records[0] if records else {}) if _is_shown(name, records)]
    rows = [[row[name] for name in names] for row in records]
    return plain_table(caption, [name.replace("_", " ") for name in names], rows)


def plain_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> PageTable:
    """Return rows of values as a table; columns of numbers are set to the right."""
    are_numbers = tuple(all(_is_number(row[at]) for row in rows) for at in range(len(columns)))
    cells = tuple(tuple(value_text(value) for value in row) for row in rows)
    return PageTable(caption, tuple(columns), cells, are_numbers, len(rows) > _MANY)


def samples_of(records: Records) -> tuple[tuple[str, str], ...]:
    """Return what models wrote, by their names."""
    return tuple((str(next(iter(row.values()))), row[_SAMPLE]) for row in records if isinstance(row.get(_SAMPLE), str))


def _is_shown(name: str, records: Records) -> bool:
    return name != _SAMPLE and not _is_spread(name, records)


def _is_spread(name: str, records: Records) -> bool:
    """Return whether a column is the spread of another one."""
    return any(name.endswith(end) and name.removesuffix(end) in records[0] for end in _SPREAD)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
