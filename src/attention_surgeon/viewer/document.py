"""What a page knows, as plain data: the one thing that its program reads, from a file or from a live table."""

from collections.abc import Sequence
from typing import Any

from attention_surgeon.viewer.contents import contents_of
from attention_surgeon.viewer.numbers import numbers_of
from attention_surgeon.viewer.steps import steps_of
from attention_surgeon.viewer.subject import Subject, name_of

FORMAT, VERSION = "attention-surgeon page", 1

_SHARE_OF_STEPS = 0.3


def side_of(subject: Subject, in_full: frozenset[int], room: float, caller: str) -> dict[str, Any]:
    """Return everything about one subject; a page holds one, a comparison two of the same form.

    Keys: `queryTokens` and `keyTokens` (null: positions), `rowEdges`, `columnEdges`, `detail`, `statistics`
    (definitions), `source` and `maps`, each with `place`, `name`, `group`, its grids and its numbers.
    """
    steps = steps_of(subject, _SHARE_OF_STEPS * room)
    room -= sum(entry["bytes"] for entry in steps if entry)
    contents = contents_of(subject, in_full, room, caller)
    numbers = numbers_of(subject)
    maps = []
    for number, entry in enumerate(contents.maps):
        maps.append(
            {
                "place": list(subject.places[number]),
                "name": name_of(subject.axes, subject.places[number]),
                "group": None if subject.groups is None else subject.groups[number],
                **entry,
                "numbers": numbers.rows[number],
                "pattern": numbers.patterns[number],
                "steps": steps[number],
            }
        )
    n_q, n_k = subject.sizes
    return {
        "numQueries": n_q,
        "numKeys": n_k,
        "queryTokens": _names(subject.query_tokens),
        "keyTokens": _names(subject.key_tokens),
        "rowEdges": list(contents.row_edges),
        "columnEdges": list(contents.column_edges),
        "detail": contents.detail,
        "statistics": numbers.definitions,
        "source": subject.source,
        "maps": maps,
    }


def document_of(title: str, axes: Sequence[str], sides: Sequence[dict[str, Any]], comparison: Any) -> dict[str, Any]:
    """Return the document of a page."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "axes": list(axes),
        "sides": list(sides),
        "comparison": comparison,
    }


def _names(tokens: tuple[str, ...] | None) -> list[str] | None:
    return None if tokens is None else list(tokens)
