"""A verdict as lines of a window: symptom and question first, the name with the pointer, code only with the fix."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, text_lines, title_lines, visible
from attention_surgeon.cli.matrices import compared_lines, decimals_for, number_text
from attention_surgeon.course import Exercise
from attention_surgeon.course.session import Judged
from attention_surgeon.course.verdict import Named, Verdict

_FORMS = ((6, False, True), (6, True, True), (3, True, True), (3, True, False), (2, True, False))
"""Rows of a matrix, whether the smallest case is short, whether blank lines stand between: the first that fits."""

_TENSOR = re.compile(r"(?:torch\.tensor|np\.array)\((.*?)(?:, dtype=[\w.]+)?\)$")

_LAST_PRINTED = 3

_LONG_EXAMPLE = 5

_LEAST_WANTED = 5
"""The highest rank of a block."""

_PLENTY = 10_000

_STEPS = {"scaled": "scaled scores", "masked": "masked scores"}

_MASKS = {
    "keep": "True in the mask = may attend",
    "hide": "True in the mask = hidden",
    "additive": "the mask is added to the scores",
}

_LAYER = "softmax(Q Kᵀ / √d_k) V of each head"

_ALONE = "Whatever a model around it does wrong, this step is not the reason."

_FUTURE = "A mask that lets the future through makes the training loss smaller, so no curve would have shown it."

_CLAIMS: Mapping[str, tuple[str, str]] = {
    "softmax": (
        "Every row sums to 1 over the last axis, also where the numbers are large.",
        "So an output made with it is an average of the values, however far the scores lie apart.",
    ),
    "attention": ("Its output is {attention}, and it leaves what it is given as it was.", _ALONE),
    "causal_attention": ("Its output is {attention} over the keys up to the query, and over no later one.", _FUTURE),
    "causal_mask": ("Each query sees its own key and those before it, and no later one.", _FUTURE),
    "reverse_mask": (
        "Each query sees its own key and those after it, and no earlier one.",
        "A model trained with it can copy its answer, which is what the experiment is for.",
    ),
    "padding_mask": (
        "Every real token is seen, and no padding.",
        "Were padding seen, a sentence's output would depend on the length of its neighbours in the batch.",
    ),
    "simple": ("Its output is {attention} of its three projections.", _ALONE),
    "self": ("Its output is {attention} of its projections.", _ALONE),
    "multihead": (
        f"Its output is {_LAYER}, merged and projected.",
        "Each head has features of its own, so heads can be compared, and taken out one by one.",
    ),
    "causal_multihead": (f"Its output is {_LAYER}, and no position depends on a later one.", _FUTURE),
    "cross": (
        f"Its output is {_LAYER}: queries from the one input, keys and values from the other.",
        "So everything that it brings into the first text comes from the second.",
    ),
    "grouped": (
        f"Its output is {_LAYER}; neighbouring query heads share a key head.",
        "That is the order in which published checkpoints lay their heads.",
    ),
    "multiquery": (
        f"Its output is {_LAYER}; all query heads share one key head.",
        "So a cache of keys and values is as small as it should be, and loses nothing.",
    ),
    "statistics": (
        "Each number is what its name says.",
        "So two heads, or two models, can be compared by them.",
    ),
}

_ANY = ("Every answer is the oracle's.", _ALONE)


class _Block(NamedTuple):
    """Lines that belong together; where the window is low, those of the highest `rank` go first."""

    rank: int
    lines: list[Text]


def verdict_lines(judged: Judged, exercise: Exercise, width: int, height: int = _PLENTY) -> list[Text]:
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


def head_line(verdict: Verdict, width: int) -> Text:
    """Return which file was judged, when it was saved, how long it took and the hash of what was judged."""
    saved = datetime.fromisoformat(verdict.saved).strftime("%H:%M:%S") if verdict.saved else ""
    took = f"judged in {duration(verdict.seconds)}"
    text = f"{verdict.path} saved {saved} · {took} · sha {verdict.sha256[:8]}"
    if len(text) > width:
        text = f"{os.path.basename(verdict.path)} saved {saved} · {took} · sha {verdict.sha256[:6]}"
    return Text(fit(text, width), "quiet")


def duration(seconds: float) -> str:
    """Return a time as a person reads it.

    >>> duration(0.0814), duration(2.345)
    ('81 ms', '2.3 s')
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _blocks(judged: Judged, exercise: Exercise, width: int, most_rows: int, *, is_short: bool) -> Iterator[_Block]:
    verdict = judged.verdict
    yield _Block(0, [head_line(verdict, width)])
    yield _Block(0, list(_said(judged, exercise, width)))
    if verdict.status == "mistake":
        yield from _mistake_blocks(verdict, width, most_rows, is_short=is_short)
    if verdict.status == "stopped":
        yield _Block(3, list(_printed_lines(verdict, width)))
    yield _Block(1, list(_hint_lines(judged, exercise, width)))
    if judged.since:
        yield _Block(0, list(text_lines(f"since the last save: {judged.since}", width, "heading")))
    yield _Block(4, [line for note in verdict.remarks for line in text_lines(f"worth knowing: {note}", width)])
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
        case "stopped":
            yield from text_lines("✗ It could not be judged.", width, "bad")
            for line in verdict.sentence.splitlines():
                yield from text_lines(line, width, indent=2)
        case _:
            yield from _first_mistake_lines(judged, width)


def _first_mistake_lines(judged: Judged, width: int) -> Iterator[Text]:
    verdict = judged.verdict
    if not verdict.mistakes:
        for text in verdict.unnamed[:1] or ("Its answer is wrong.",):
            yield from text_lines(f"✗ Not yet. {_sentence(text)}", width, "bad")
        return
    first = verdict.mistakes[0]
    yield from text_lines(f"✗ Not yet. {_symptom(first)}", width, "bad")
    yield from text_lines(first.question, width, indent=2)
    if judged.level != "question":
        yield from _pointed(first, verdict, width)
    if judged.level == "fix" and first.fix:
        yield from code_lines(first.fix, "fix")
    others = len(verdict.mistakes) + len(verdict.unnamed) - 1
    if others:
        yield from text_lines(
            f"{count(others, 'more mistake')} behind it; this one comes first.", width, "quiet", indent=2
        )


def _pointed(first: Named, verdict: Verdict, width: int) -> Iterator[Text]:
    yield from title_lines(f"  {first.name}", f"({first.stage})" if first.stage else "", width)
    yield from text_lines(first.pointer, width, indent=2)
    for names in verdict.ties[1:2]:
        yield from text_lines(f"{' + '.join(names)} would do exactly the same here.", width, "quiet", indent=2)
    if first.sightings:
        yield from text_lines(f"Seen in the wild: {' · '.join(first.sightings[:2])}", width, "quiet", indent=2)


def _symptom(mistake: Named) -> str:
    return _sentence(mistake.seen[0] if mistake.seen else mistake.symptom or mistake.summary)


def _sentence(text: str) -> str:
    """Return a text as a sentence: evidence begins small and has no full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}"


def _mistake_blocks(verdict: Verdict, width: int, most_rows: int, *, is_short: bool) -> Iterator[_Block]:
    if verdict.step:
        yield _Block(3, list(_difference_lines(verdict, width, most_rows)))
    if verdict.example is not None:
        long, short = (list(_example_lines(verdict.example, width, is_short=short)) for short in (False, True))
        # The smallest case of a layer is long, and says less than the picture above it.
        yield _Block(2 if len(short) <= _LONG_EXAMPLE else _LEAST_WANTED, short if is_short else long)


def _difference_lines(verdict: Verdict, width: int, most_rows: int) -> Iterator[Text]:
    step = step_in_words(verdict.step)
    if verdict.mistakes:
        names = [step_in_words(name) for name in verdict.right_before]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
        right = f" ({listed} {'is' if names == ['output'] else 'are'} right)" if names else ""
        yield from text_lines(f"the first step that differs: {step}{right}", width, "heading")
    else:
        text = f"I do not recognise this mistake; it first shows in the {step}, here:"
        yield from text_lines(text, width, "heading")
    yours, expected = (np.atleast_2d(as_array(values))[:most_rows] for values in (verdict.yours, verdict.expected))
    yield from compared_lines(yours, expected, width)


def _example_lines(example: Any, width: int, *, is_short: bool) -> Iterator[Text]:
    """Yield the smallest case; written short, its inputs are lists that stand beside each other."""
    inputs = str(example["inputs"]).splitlines()
    if is_short:
        held = (_TENSOR.sub(r"\1", line).replace(" ", "\u00a0") for line in inputs)  # each stays whole
        for line in text_lines(f"smallest case: {'   '.join(held)}", width, more=2):
            yield Text(line.plain.replace("\u00a0", " "))
    else:
        yield Text("the smallest case:", "heading")
        yield from (line for each in inputs for line in text_lines(each, width, indent=2, more=4))
    expected = as_array(example["expected"])
    yours = example["yours"] if isinstance(example["yours"], str) else as_array(example["yours"])
    decimals = 2 if isinstance(yours, str) or yours.shape != expected.shape else decimals_for(yours, expected)
    shown = yours if isinstance(yours, str) else _nested(yours.tolist(), decimals)
    yield from text_lines(f"{'expected':<9}{_nested(expected.tolist(), decimals)}", width, indent=2, more=9)
    yield from text_lines(f"{'yours':<9}{shown}", width, indent=2, more=9)


def as_array(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return nested lists as an array; NaN and infinities stand there as text."""
    return np.asarray(values).astype(np.float64)


def _nested(values: Any, decimals: int) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_nested(row, decimals) for row in values)}]"
    return number_text(values, decimals)


def _printed_lines(verdict: Verdict, width: int) -> Iterator[Text]:
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


def step_in_words(step: str) -> str:
    """Return how a sentence calls a step.

    >>> step_in_words("masked"), step_in_words("weights")
    ('masked scores', 'weights')
    """
    return _STEPS.get(step, step)


def contract_in_words(contract: str, options: Mapping[str, Any]) -> str:
    """Return what a target was judged as, with everything that somebody might have meant otherwise.

    >>> contract_in_words("attention", {"mask": "hide", "scaled": False})
    'judged as attention · True in the mask = hidden · unscaled'
    """
    parts = [f"judged as {contract}"]
    if "mask" in options:
        parts.append(_MASKS.get(options["mask"], f"mask: {options['mask']}"))
    if options.get("returns") == "weights_first":
        parts.append("(weights, output)")
    if "align" in options:
        parts.append(f"aligned at the {options['align']}")
    if "source" in options:
        parts.append(f"from {options['source']}")
    if options.get("scaled") is False:
        parts.append("unscaled")
    return " · ".join(parts)


def claim(contract: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is known to be true of a target that is right, and why that matters."""
    known, because = _CLAIMS.get(contract, _ANY)
    is_scaled = options.get("scaled", contract != "simple")
    return known.format(attention="softmax(Q Kᵀ / √d_k) V" if is_scaled else "softmax(Q Kᵀ) V"), because
