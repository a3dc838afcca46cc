"""The statistics of each map, for the wall to sort by and for the table."""

from typing import Any, NamedTuple

from attention_surgeon.viewer.subject import Subject


class Numbers(NamedTuple):
    """The statistics of a subject.

    Attributes:
        definitions: For each statistic its name, title, formula, unit, meaning and source.
        rows: For each map its numbers in that order; None where a number is not defined.
    """

    definitions: list[dict[str, Any]]
    rows: list[list[float | None]]


def numbers_of(subject: Subject) -> Numbers:
    """Return the statistics of each map."""
    return Numbers([], [[] for _ in subject.maps])
