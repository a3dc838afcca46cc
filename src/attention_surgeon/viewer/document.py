"""What a page knows, as plain data: the one thing that its program reads, from a file or from a live table."""

from collections.abc import Sequence
from typing import Any

from attention_surgeon.viewer.contents import Contents, contents_of
from attention_surgeon.viewer.distances import distances
from attention_surgeon.viewer.numbers import numbers_of
from attention_surgeon.viewer.steps import steps_of
from attention_surgeon.viewer.subject import Subject, name_of

FORMAT, VERSION = "attention-surgeon page", 1

_SHARE_OF_STEPS = 0.3


def document_of(
    subjects: Sequence[Subject],
    title: str,
    labels: Sequence[str],
    in_full: frozenset[int],
    room: float,
    caller: str,
) -> dict[str, Any]:
    """Return everything that a page shows of one subject, or of two that are compared.

    Keys: `format`, `version`, `title`, `axes`, `comparison` (null, or distances map by map and where to begin),
    `operation` (null; who operated puts there what was done, as `types.d.ts` says), `stack` and `others` (empty; a page
    of several stacks puts there its name and the documents of the others) and `sides`, one for each subject:
    `label`, `source`, `numQueries`, `numKeys`, `queryTokens` and `keyTokens` (null: positions), `promptLength` (null:
    nothing was written), `picture` (null: no picture was read), `statistics` (definitions), `frames` (the edges of the
    cells) and `maps`, each with `place`, `name`, `group`, its cells and its numbers.

    Args:
        subjects: One, or two with the same places and sizes.
        title: Stands above everything.
        labels: What each subject is called.
        in_full: Numbers of the maps that are held weight by weight.
        room: How many bytes all maps may take.
        caller: What the messages call the function that was called.

    Raises:
        NonFiniteError, OptionError: numbers that are no weights.
    """
    steps = [steps_of(subject, _SHARE_OF_STEPS * room / len(subjects)) for subject in subjects]
    room -= sum(entry["bytes"] for each in steps for entry in each if entry)
    contents = contents_of(subjects, in_full, room, caller)
    sides = [_side(*each) for each in zip(subjects, labels, contents, steps, strict=True)]
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "axes": list(subjects[0].axes),
        "sides": sides,
        "comparison": distances(*subjects) if len(subjects) == 2 else None,
        "operation": None,
        "stack": "",
        "others": [],
    }


def _side(subject: Subject, label: str, contents: Contents, steps: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    numbers = numbers_of(subject)
    n_q, n_k = subject.sizes
    maps = [
        {
            "place": list(subject.places[number]),
            "name": name_of(subject.axes, subject.places[number]),
            "group": None if subject.groups is None else subject.groups[number],
            **entry,
            "numbers": numbers.rows[number],
            "pattern": numbers.patterns[number],
            "rowSums": numbers.row_sums[number],
            "call": steps[number],
        }
        for number, entry in enumerate(contents.maps)
    ]
    return {
        "label": label,
        "source": subject.source,
        "numQueries": n_q,
        "numKeys": n_k,
        "queryTokens": _names(subject.query_tokens),
        "keyTokens": _names(subject.key_tokens),
        "promptLength": subject.prompt_length,
        "picture": subject.picture,
        "statistics": numbers.definitions,
        "frames": contents.frames,
        "maps": maps,
    }


def _names(tokens: tuple[str, ...] | None) -> list[str] | None:
    return None if tokens is None else list(tokens)
