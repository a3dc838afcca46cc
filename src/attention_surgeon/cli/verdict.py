"""One telling of a verdict, for the terminal, for the course's window, and as plain text for pytest.

What happened, then where, then what to do: the line of the file, the mistakes in the order of the pipeline with as much
of each as the level allows, the first step that differs, the smallest case, and what was never tried.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, folded, labelled_lines, text_lines, title_lines, visible
from attention_surgeon.cli.matrices import compared_lines, decimals_for, number_text
from attention_surgeon.verdict import Counterexample, Difference, Level, Location, Mistake, Verdict

_NUM_PROBES = 2

_HELD_EQUALS = "\u00a0=\u00a0"

_TENSOR = re.compile(r"(?:torch\.tensor|np\.array)\((.*?)(?:, dtype=[\w.]+)?\)$")

_STEPS = {"scaled": "scaled scores", "masked": "masked scores"}

_MASKS = {
    "keep": "True in the mask = may attend",
    "hide": "True in the mask = hidden",
    "additive": "the mask is added to the scores",
}

_LAYER = "softmax(Q Kᵀ / √d_k) V of each head"

_FUTURE = "A mask that lets the future through makes the training loss smaller, so no curve would have shown it."

_CLAIMS: Mapping[str, tuple[str, str]] = {
    "softmax": (
        "Every row sums to 1 over the last axis, also where the numbers are large.",
        "So an output made with it is an average of the values, however far the scores lie apart.",
    ),
    "attention": ("Its output is {attention}, and it leaves what it is given as it was.", ""),
    "causal_attention": ("Its output is {attention} over the keys up to the query, and over no later one.", _FUTURE),
    "kernel": ("Its output is {attention} at every size that was tried, as near as its dtype allows.", ""),
    "causal_mask": ("Each query sees its own key and those before it, and no later one.", _FUTURE),
    "reverse_mask": (
        "Each query sees its own key and those after it, and no earlier one.",
        "A model trained with it can copy its answer, which is what the experiment is for.",
    ),
    "padding_mask": (
        "Every real token is seen, and no padding.",
        "Were padding seen, a sentence's output would depend on the length of its neighbours in the batch.",
    ),
    "simple": ("Its output is {attention} of its three projections.", ""),
    "self": ("Its output is {attention} of its projections.", ""),
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

_ANY = ("Every answer was the one of our own attention.", "")


def verdict_lines(
    verdict: Verdict, level: Level, width: int, options: Mapping[str, Any] | None = None, *, says_as_what: bool = False
) -> Iterator[Text]:
    """Yield what is said of a verdict, no line wider than `width` cells.

    Args:
        verdict: What was found.
        level: How much is told of each mistake.
        width: Of the window.
        options: Of the contract that it was judged by.
        says_as_what: Whether the first line says what it was judged as.
    """
    as_what = f" as {verdict.contract}" if says_as_what and verdict.contract else ""
    match verdict.status:
        case "unjudged":
            yield from _unjudged_lines(verdict, as_what, width)
        case "right":
            yield from _right_lines(verdict, options or {}, as_what, width)
        case _:
            yield from _wrong_lines(verdict, level, as_what, width)
    yield from remark_lines(verdict, width)


def as_text(verdict: Verdict, level: Level = "pointer", width: int = 100) -> str:
    """Return the same lines without colour.

    >>> print(as_text(Verdict("unjudged", "attention", reason="It answers no call.")))
    ? NOT JUDGED as attention
      It answers no call.
    """
    lines = verdict_lines(verdict, level, width, says_as_what=True)
    return "\n".join(line.plain.rstrip() for line in lines)


def _unjudged_lines(verdict: Verdict, as_what: str, width: int) -> Iterator[Text]:
    if verdict.location is not None:
        yield from crash_lines(verdict.location, verdict.reason, width)
        return
    yield from text_lines(f"? NOT JUDGED{as_what}", width, "bad")
    for line in verdict.reason.splitlines():
        yield from text_lines(line, width, indent=2)


def crash_lines(location: Location, reason: str, width: int) -> Iterator[Text]:
    """Yield which line stopped with an error, the line itself, and what is said of it."""
    yield from text_lines(
        f"✗ {os.path.basename(location.file)}, line {location.line} stops with an error.", width, "bad"
    )
    yield Text(fit(f"      {visible(location.text)}", width))
    for line in reason.splitlines():
        yield from text_lines(line, width, indent=2)


def _right_lines(verdict: Verdict, options: Mapping[str, Any], as_what: str, width: int) -> Iterator[Text]:
    """Say what it is, what was tried and what was not; nothing is claimed beyond that."""
    what = " · ".join(verdict.kind)
    yield from text_lines(f"✓ RIGHT{as_what}{f'   {what}' if what else ''}", width, "good")
    if verdict.contract_name:
        tried = ", ".join(verdict.calls)
        if verdict.contract_name != "kernel":  # whose calls stand for several each
            tried = f"{count(len(verdict.calls), 'call')}, each on {_NUM_PROBES} independent probes: {tried}"
        yield from labelled_lines("tried", tried, width, room=10)
    else:
        tried = " · ".join(filter(None, (verdict.called_with, *verdict.calls)))
        yield from text_lines("each step was read from its own operations and compared with ours", width, indent=2)
        yield from labelled_lines("tried", tried, width, room=10)
    yield from _untried_lines(verdict, width)
    if verdict.contract_name:
        for sentence in filter(None, claim(verdict.contract_name, options)):
            yield from text_lines(sentence, width, indent=2)


def _untried_lines(verdict: Verdict, width: int) -> Iterator[Text]:
    if verdict.untried:
        yield from labelled_lines("not tried", ", ".join(verdict.untried), width, room=10)


def _wrong_lines(verdict: Verdict, level: Level, as_what: str, width: int) -> Iterator[Text]:
    yield from _headline(verdict, as_what, width)
    for mistake in verdict.mistakes:
        yield Text("")
        yield from mistake_lines(mistake, level, width)
    yield from _tie_lines(verdict, level, width)
    for evidence in verdict.unnamed:
        yield Text("")
        yield from text_lines(f"It has no name: {evidence}", width)
    if verdict.difference is not None:
        yield Text("")
        yield from difference_lines(verdict.difference, width, is_recognised=verdict.is_recognised)
    elif not verdict.is_recognised and not verdict.unnamed:
        yield Text("")
        yield from text_lines("I do not recognise this mistake.", width)
    if verdict.counterexample is not None:
        yield Text("")
        yield from example_lines(verdict.counterexample, width)
    if verdict.patch:
        yield Text("")
        yield from code_lines(verdict.patch)
    if verdict.untried:
        yield Text("")
        yield from _untried_lines(verdict, width)


def _headline(verdict: Verdict, as_what: str, width: int) -> Iterator[Text]:
    """Say where it is wrong, if that is known, before anything else."""
    number = len(verdict.mistakes) + len(verdict.unnamed)
    is_confirmed = verdict.explanations and verdict.contract_name
    confirmed = f", confirmed on {_NUM_PROBES} independent probes" if is_confirmed else ""
    counted = f"{count(number, 'fault')}{confirmed}" if number else ""
    where = verdict.location
    if where is not None:
        yield from text_lines(f"✗ WRONG{as_what}   line {where.line}   {visible(where.text)}", width, "bad")
        yield from text_lines(" · ".join(filter(None, (*verdict.kind, counted))), width, "quiet", indent=2)
    else:
        yield from text_lines(f"✗ WRONG{as_what}{f' · {counted}' if counted else ''}", width, "bad")


def mistake_lines(mistake: Mistake, level: Level, width: int) -> Iterator[Text]:
    """Say as much as the level allows: the question; then name, pointer and sightings; then the fix.

    What was seen, where the target's behaviour shows the mistake rather than its numbers, is said at every level.
    """
    if level == "question":
        yield from text_lines(mistake.question, width, indent=2)
        for text in mistake.seen:
            yield from labelled_lines("seen", text, width)
        return
    yield from named_lines(mistake, width)
    yield from text_lines(mistake.summary, width, indent=2)
    yield from labelled_lines("ask", mistake.question, width)
    yield from labelled_lines("look", mistake.pointer, width)
    for text in mistake.seen:
        yield from labelled_lines("seen", text, width)
    if level == "fix":
        yield from code_lines(mistake.fix, "fix")
    yield from sighting_lines(mistake, width)


def named_lines(mistake: Mistake, width: int, indent: int = 0) -> Iterator[Text]:
    """Say its name and its stage."""
    yield from title_lines(" " * indent + mistake.name, f"({mistake.stage})" if mistake.stage else "", width)


def sighting_lines(mistake: Mistake, width: int, most: int | None = None) -> Iterator[Text]:
    """Say where else it happened."""
    if mistake.sightings:
        listed = " · ".join(map(str, mistake.sightings[:most]))
        yield from text_lines(f"Also happened in {listed}", width, "quiet", indent=2)


def remark_lines(verdict: Verdict, width: int) -> Iterator[Text]:
    """Yield what was seen that is no fault."""
    if verdict.remarks:
        yield Text("")
    for remark in verdict.remarks:
        yield from text_lines(f"worth knowing: {remark}", width)


def _tie_lines(verdict: Verdict, level: Level, width: int) -> Iterator[Text]:
    """Say which other mistakes are the same function here; at the first level only that there are some."""
    ties = _told_apart(verdict)
    if not ties:
        return
    yield Text("")
    if level == "question":
        yield from text_lines(f"{count(len(ties), 'mistake')} would do exactly this.", width, indent=2)
        return
    how_many = "two" if len(ties) == 2 else str(len(ties))
    yield from text_lines(f"these {how_many} are the same function here:", width, indent=2)
    for mistakes in ties:
        summaries = " ".join(each.summary for each in mistakes)
        yield from text_lines(f"{' + '.join(each.name for each in mistakes)}: {summaries}", width, indent=4, more=4)


def _told_apart(verdict: Verdict) -> list[tuple[Mistake, ...]]:
    """Return the explanations without what they have in common, each once; empty where there is one explanation."""
    by_names = {frozenset(each.name for each in mistakes): mistakes for mistakes in verdict.explanations}
    if len(by_names) < 2:
        return []
    common = frozenset.intersection(*by_names)
    return [tuple(each for each in mistakes if each.name not in common) for mistakes in by_names.values()]


def difference_lines(
    difference: Difference, width: int, *, is_recognised: bool, most_rows: int | None = None, with_call: bool = True
) -> Iterator[Text]:
    """Yield the first step that differs, with the two matrices where they are known."""
    step = step_in_words(difference.step)
    if is_recognised:
        before = [step_in_words(name) for name in difference.right_before]
        right = f" ({_listed(before)} {'is' if before == ['output'] else 'are'} right)" if before else ""
        text = f"The first step that differs: {step}{right}"
    else:
        text = f"I do not recognise this mistake; it first shows in the {step}, here:"
    yield from text_lines(text, width, "heading")
    if with_call and difference.call:
        yield from text_lines(f"in the call {difference.call}", width, "quiet")
    if difference.yours is not None and difference.expected is not None:
        yours, expected = (
            values if values.ndim else values[None] for values in (difference.yours, difference.expected)
        )
        yield from compared_lines(yours[:most_rows], expected[:most_rows], width)


def example_lines(example: Counterexample, width: int, *, is_short: bool = False) -> Iterator[Text]:
    """Yield the smallest case; written short, its inputs are lists that stand beside each other."""
    if is_short:
        inputs = (_TENSOR.sub(r"\1", line).replace(" ", "\u00a0") for line in example.inputs.splitlines())
        for line in text_lines(
            f"The smallest case: {'   '.join(inputs)}", width, "heading", more=2
        ):  # each stays whole
            yield Text(line.plain.replace("\u00a0", " "))
    else:
        yield from text_lines("The smallest case:", width, "heading")
        for line in example.inputs.splitlines():
            yield from _pasted_lines(line, width)
    yours, expected = example.yours, example.expected
    decimals = 2 if isinstance(yours, str) or yours.shape != expected.shape else decimals_for(yours, expected)
    given = yours if isinstance(yours, str) else _nested(yours.tolist(), decimals)
    yield from text_lines(f"{example.what}, yours: {given}", width, indent=2, more=4)
    yield from text_lines(f"{example.what}, expected: {_nested(expected.tolist(), decimals)}", width, indent=2, more=4)


def _pasted_lines(line: str, width: int) -> Iterator[Text]:
    """Yield a line of Python folded so that it stays Python: at its blanks, never cut, a comment as several."""
    code, sign, comment = line.partition("# ")
    if sign and (not code or len(line) + 2 > width):
        for piece in folded(comment, max(width - 4, 1)):
            yield Text(f"  # {piece}")
        line = code.rstrip()
    held = line.replace(" = ", _HELD_EQUALS, 1)  # a line must not end with its equals sign
    if line:
        for piece in folded(held, max(width - 2, 1), indent=4):
            yield Text(f"  {piece.replace(_HELD_EQUALS, ' = ')}")


def _nested(values: Any, decimals: int) -> str:
    """Return nested lists of short numbers as text."""
    if isinstance(values, list):
        return f"[{', '.join(_nested(row, decimals) for row in values)}]"
    return number_text(values, decimals)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


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
