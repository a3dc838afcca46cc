"""A verdict in the course's window: what fits its height, symptom and question first, code only with the fix."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, text_lines, visible, width_of
from attention_surgeon.cli.verdict import crash_lines, difference_lines, example_lines, named_lines, sighting_lines
from attention_surgeon.course import Exercise
from attention_surgeon.course.session import Judged
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.verdict import Mistake, Verdict

_FORMS = ((6, False, True), (6, True, True), (3, True, True), (3, True, False), (2, True, False))
"""Rows of a matrix, whether the smallest case is short, whether blank lines stand between: the first that fits."""

_LAST_PRINTED = 3

_LONG_EXAMPLE = 5

_LEAST_WANTED = 5
"""The highest rank of a block."""

_PLENTY = 10_000


class _Block(NamedTuple):
    """Lines that belong together; where the window is low, those of the highest `rank` go first."""

    rank: int
    lines: list[Text]


def window_lines(judged: Judged, exercise: Exercise, width: int, height: int = _PLENTY) -> list[Text]:
    """Return what is said of a verdict, no line wider than `width` cells, at most `height` lines if that can be."""
    forms = [
        (list(_blocks(judged, exercise, width, most_rows, is_short=is_short)), is_airy)
        for most_rows, is_short, is_airy in _FORMS
    ]
    lines: list[Text] = []
    for highest in range(_LEAST_WANTED, -1, -1):
        for blocks, is_airy in forms:
            lines = _joined((block for block in blocks if block.rank <= highest), is_airy=is_airy)
            if len(lines) <= height:
                return lines
    return lines[:height]


def head_lines(verdict: ExerciseVerdict, width: int) -> list[Text]:
    """Return which file was judged, its whole path, when it was saved, how long it took and the hash of its bytes."""
    saved = datetime.fromisoformat(verdict.saved).strftime("%H:%M:%S") if verdict.saved else ""
    took = f"judged in {duration(verdict.seconds)}"
    about = f"saved {saved} · {took} · sha {verdict.sha256[:8]}"
    whole = f"{verdict.path} {about}"
    lines = [whole] if width_of(whole) <= width else [verdict.path, about]
    return [Text(fit(line, width), "quiet") for line in lines]


def duration(seconds: float) -> str:
    """Return a time as a person reads it.

    >>> duration(0.0814), duration(2.345)
    ('81 ms', '2.3 s')
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _blocks(judged: Judged, exercise: Exercise, width: int, most_rows: int, *, is_short: bool) -> Iterator[_Block]:
    verdict = judged.verdict
    yield _Block(0, head_lines(verdict, width))
    yield _Block(0, list(_said(judged, exercise, width)))
    if verdict.status == "mistake":
        yield from _mistake_blocks(verdict.found, width, most_rows, is_short=is_short)
    if verdict.status == "stopped":
        yield _Block(3, list(_printed_lines(verdict, width)))
    yield _Block(1, list(_hint_lines(judged, exercise, width)))
    if judged.since:
        yield _Block(0, list(text_lines(f"since the last save: {judged.since}", width, "heading")))
    yield _Block(4, [line for note in verdict.found.remarks for line in text_lines(f"worth knowing: {note}", width)])
    yield _Block(0, [line for note in judged.notes for line in text_lines(f"note: {note}", width, "quiet")])


def _said(judged: Judged, exercise: Exercise, width: int) -> Iterator[Text]:
    verdict = judged.verdict
    match verdict.status:
        case "passed":
            yield from text_lines(f"✓ {verdict.object} is right.", width, "good")
            yield from text_lines(exercise.passed, width, indent=2)
        case "untouched":
            yield from text_lines(f"○ Not begun. {verdict.sentence}", width)
            yield from text_lines(exercise.shapes, width, "quiet", indent=2)
        case "unfinished":
            yield from text_lines(f"○ Not finished. {verdict.sentence}", width)
        case "stopped" if verdict.found.location is not None:
            yield from crash_lines(verdict.found.location, verdict.found.reason, width)
        case "stopped":
            yield from text_lines("✗ It could not be judged.", width, "bad")
            for line in verdict.sentence.splitlines():
                yield from text_lines(line, width, indent=2)
        case _:
            yield from _first_mistake_lines(judged, width)


def _first_mistake_lines(judged: Judged, width: int) -> Iterator[Text]:
    verdict = judged.verdict
    if not verdict.mistakes:
        for text in verdict.found.unnamed[:1] or ("Its answer is wrong.",):
            yield from text_lines(f"✗ Not yet. {_sentence(text)}", width, "bad")
        return
    first = verdict.mistakes[0]
    yield from text_lines(f"✗ Not yet. {_symptom(first)}", width, "bad")
    where = verdict.found.location
    if where is not None:
        yield from text_lines(f"line {where.line}   {visible(where.text)}", width, "quiet", indent=2)
    yield from text_lines(first.question, width, indent=2)
    if judged.level != "question":
        yield from _pointed(first, verdict.found, width)
    if judged.level == "fix" and first.fix:
        yield from code_lines(first.fix, "fix")
    others = len(verdict.mistakes) + len(verdict.found.unnamed) - 1
    if others:
        yield from text_lines(
            f"{count(others, 'more mistake')} behind it; this one comes first.", width, "quiet", indent=2
        )


def _pointed(first: Mistake, verdict: Verdict, width: int) -> Iterator[Text]:
    yield from named_lines(first, width, indent=2)
    yield from text_lines(first.pointer, width, indent=2)
    for names in verdict.ties[1:2]:
        yield from text_lines(f"{' + '.join(names)} would do exactly the same here.", width, "quiet", indent=2)
    yield from sighting_lines(first, width, most=2)


def _symptom(mistake: Mistake) -> str:
    return _sentence(mistake.seen[0] if mistake.seen else mistake.symptom or mistake.summary)


def _sentence(text: str) -> str:
    """Return a text as a sentence: evidence begins small and has no full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}"


def _mistake_blocks(verdict: Verdict, width: int, most_rows: int, *, is_short: bool) -> Iterator[_Block]:
    if verdict.difference is not None:
        is_recognised = bool(verdict.mistakes)
        lines = difference_lines(
            verdict.difference, width, is_recognised=is_recognised, most_rows=most_rows, with_call=False
        )
        yield _Block(3, list(lines))
    if verdict.counterexample is not None:
        long, short = (list(example_lines(verdict.counterexample, width, is_short=short)) for short in (False, True))
        # The smallest case of a layer is long, and says less than the picture above it.
        yield _Block(2 if len(short) <= _LONG_EXAMPLE else _LEAST_WANTED, short if is_short else long)


def _printed_lines(verdict: ExerciseVerdict, width: int) -> Iterator[Text]:
    last = [line for line in verdict.printed.splitlines() if line.strip()][-_LAST_PRINTED:]
    if last:
        yield Text("the last that it printed:", "quiet")
        yield from (Text(fit(f"  {visible(line)}", width), "quiet") for line in last)


def _hint_lines(judged: Judged, exercise: Exercise, width: int) -> Iterator[Text]:
    """Yield the exercise's own hints, as many as were asked for, where no mistake has words of its own."""
    if judged.verdict.status == "passed" or judged.verdict.mistakes:
        return
    for label, hint in zip(("ask", "look", "fix"), exercise.hints[: judged.standing.hints], strict=False):
        lines = code_lines(hint, label) if label == "fix" else text_lines(f"{label}   {hint}", width, indent=2, more=6)
        yield from lines


def _joined(blocks: Iterable[_Block], *, is_airy: bool = True) -> list[Text]:
    """Return the lines of all blocks; a blank line between two, or only below the first."""
    lines: list[Text] = []
    for block in blocks:
        if block.lines:
            lines += ([Text("")] if lines and (is_airy or len(lines) == 1) else []) + block.lines
    return lines
