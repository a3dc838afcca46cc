"""Merging line by line: what the course changed, and what the learner changed, from what both began with."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_Change = tuple[int, int, list[str]]


def merge(base: str, theirs: str, yours: str) -> str | None:
    r"""Return the text with both sets of changes, or None where they touch the same or neighbouring lines.

    >>> merge("a\nb\nc\nd\n", "A\nb\nc\nd\n", "a\nb\nc\nD\n")
    'A\nb\nc\nD\n'
    >>> merge("a\nb\n", "A\nb\n", "x\nb\n") is None
    True
    """
    lines = base.splitlines(keepends=True)
    ours = list(_changes(lines, yours.splitlines(keepends=True)))
    others = [change for change in _changes(lines, theirs.splitlines(keepends=True)) if change not in ours]
    if any(_touch(one, other) for one in ours for other in others):
        return None
    merged = list(lines)
    for start, end, new in sorted(ours + others, reverse=True):
        merged[start:end] = new
    return "".join(merged)


def _changes(before: Sequence[str], after: Sequence[str]) -> Iterator[_Change]:
    for kind, start, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            yield start, end, list(after[first:last])


def _touch(one: _Change, other: _Change) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
