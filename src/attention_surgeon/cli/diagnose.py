"""`surgeon diagnose`: from its options to what was found, and the verdict with the first wrong number."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, folded, labelled_lines, text_lines, title_lines, visible
from attention_surgeon.cli.console import make_console, show, write
from attention_surgeon.cli.faults import fault_as_dict
from attention_surgeon.cli.matrices import compared_lines, decimals_for, number_text
from attention_surgeon.cli.verdict import claim, contract_in_words, step_in_words
from attention_surgeon.diagnose import Counterexample, Diagnosis, Difference
from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.explain import NUM_PROBES
from attention_surgeon.diagnose.file import FileDiagnosis, diagnose_file
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Fault

_MIB = 2**20

_EXIT_CODES = {"right": 0, "wrong": 1, "unjudged": 2}

_HASH_DIGITS = 6

_LAST_PRINTED = 3

_FORMAT, _VERSION = "attention-surgeon diagnosis", 1

Level: TypeAlias = Literal["question", "pointer", "fix"]

LEVELS: tuple[Level, ...] = get_args(Level)

_HELD_EQUALS = "\u00a0=\u00a0"


def parse_level(text: str) -> Level:
    """Return the level that `text` names.

    Raises:
        OptionError: there is none.
    """
    for level in LEVELS:
        if text == level:
            return level
    raise OptionError(f"--level is {text!r}, expected {', '.join(LEVELS[:-1])} or {LEVELS[-1]}.")


def judge(
    target: str, contract: str | None, options: Mapping[str, Any], *, seconds: float, memory: int
) -> FileDiagnosis:
    """Judge a target as the command line asks.

    Args:
        target: `FILE.py:NAME`.
        contract: Its name, or None to choose by the kind of object.
        options: Of the contract; None where one was not given.
        seconds: The file may take so long.
        memory: The file may take so many MB.

    Raises:
        OptionError: an unknown contract, an option that it does not take, a limit that is not above 0.
        FileAccessError: there is no such file.
    """
    for name, limit in (("seconds", seconds), ("memory", memory)):
        if not limit > 0:
            raise OptionError(f"--{name} is {limit:g}, expected a number above 0.")
    given = {name: value for name, value in options.items() if value is not None}
    return diagnose_file(target, contract, given, limits=Limits(seconds=seconds, memory_bytes=memory * _MIB))


def print_diagnosis(found: FileDiagnosis, level: Level, *, as_json: bool) -> int:
    """Print what was found and return the exit code: 0 right, 1 wrong, 2 could not be judged.

    Raises:
        FileAccessError: the output cannot be written.
    """
    if as_json:
        write(f"{json.dumps(document(found), allow_nan=False)}\n")
    else:
        console = make_console()
        show(diagnosis_lines(found, level, console.width), console)
    return _EXIT_CODES[found.diagnosis.verdict]


def document(found: FileDiagnosis) -> dict[str, object]:
    """Return everything as plain data, with what the catalogue says about each fault."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        **found.as_dict(),
        "texts": {fault.name: fault_as_dict(fault) for fault in _all_faults(found.diagnosis)},
    }


def diagnosis_lines(found: FileDiagnosis, level: Level, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    yield from _head_lines(found, width)
    yield Text("")
    diagnosis = found.diagnosis
    if diagnosis.verdict == "unjudged":
        yield from _unjudged_lines(found, width)
    elif diagnosis.verdict == "right":
        yield from _right_lines(found, width)
    else:
        yield from wrong_lines(diagnosis, level, width)
    yield Text("")
    yield from text_lines(_last_line(diagnosis, level), width, "quiet")


def _head_lines(found: FileDiagnosis, width: int) -> Iterator[Text]:
    """Say which text was run, and how."""
    yield from text_lines(visible(found.target), width, "heading")
    parts = [found.object, f"{found.num_lines} lines", f"sha {found.sha256[:_HASH_DIGITS]}"]
    if not found.sha256:
        parts = parts[:1]
    yield from text_lines(" · ".join(filter(None, parts)), width)
    if found.note:
        yield from text_lines(found.note, width)
    if found.diagnosis.contract_name:
        yield from text_lines(contract_in_words(found.diagnosis.contract_name, found.options), width, "quiet")
    if found.diagnosis.called_with:
        yield from text_lines(f"first call, {found.diagnosis.called_with}", width, "quiet")


def _unjudged_lines(found: FileDiagnosis, width: int) -> Iterator[Text]:
    yield from text_lines("? COULD NOT JUDGE", width, "bad")
    for line in found.diagnosis.reason.splitlines():
        yield from text_lines(line, width, indent=2)
    last = [line for line in found.printed.splitlines() if line.strip()][-_LAST_PRINTED:]
    if last:
        yield from text_lines("the last that it printed:", width, "quiet")
        yield from (Text(fit(f"  {visible(line)}", width), "quiet") for line in last)


def _right_lines(found: FileDiagnosis, width: int) -> Iterator[Text]:
    diagnosis = found.diagnosis
    if not diagnosis.contract_name:
        yield from _observed_right_lines(diagnosis, width)
        return
    verdict = f"✓ RIGHT · {count(len(diagnosis.calls), 'call')}, each on {NUM_PROBES} independent probes"
    yield from text_lines(verdict, width, "good")
    yield from text_lines(", ".join(diagnosis.calls), width, "quiet", indent=2)
    known, because = claim(diagnosis.contract_name, found.options)
    yield from text_lines(known, width, indent=2)
    if because:
        yield from text_lines(because, width, indent=2)
    if diagnosis.untried:
        yield from labelled_lines("not tried", ", ".join(diagnosis.untried), width)
    yield from remark_lines(diagnosis, width)


def _observed_right_lines(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    """Say what it is, what was tried and what was not."""
    yield from text_lines(f"✓ RIGHT   {' · '.join(diagnosis.kind) or 'attention'}", width, "good")
    yield from text_lines("each step was read from its own operations and compared with ours", width, indent=2)
    yield from labelled_lines("tried", " · ".join((diagnosis.called_with, *diagnosis.calls)), width)
    if diagnosis.untried:
        yield from labelled_lines("not tried", ", ".join(diagnosis.untried), width)
    yield from remark_lines(diagnosis, width)


def _last_line(diagnosis: Diagnosis, level: Level) -> str:
    code = f"exit code {_EXIT_CODES[diagnosis.verdict]}"
    more = {"question": "--level pointer names it", "pointer": "--level fix shows the code"}
    if diagnosis.verdict == "wrong" and diagnosis.faults and level in more:
        return f"{more[level]} · --json for machines · {code}"
    return f"--json for machines · {code}"


def _all_faults(diagnosis: Diagnosis) -> Sequence[Fault]:
    named = {fault.name: fault for faults in (diagnosis.faults, *diagnosis.explanations) for fault in faults}
    return list(named.values())


def wrong_lines(diagnosis: Diagnosis, level: Level, width: int) -> Iterator[Text]:
    """Yield verdict, faults in the order of the pipeline, the first step that differs, and the smallest case."""
    yield from text_lines(_verdict(diagnosis), width, "bad")
    if diagnosis.location is not None:
        place = diagnosis.location
        yield from text_lines(f"line {place.line}   {visible(place.text)}", width, "heading", indent=2)
    for fault in diagnosis.faults:
        yield from _fault_lines(fault, _evidence(diagnosis, fault.name), level, width)
    yield from _tie_lines(diagnosis, level, width)
    for evidence in _evidence(diagnosis, None):
        yield Text("")
        yield from text_lines(f"It has no name: {evidence}", width)
    if diagnosis.difference is not None:
        yield Text("")
        yield from _difference_lines(diagnosis.difference, diagnosis.is_recognised, width)
    elif not diagnosis.is_recognised and not _evidence(diagnosis, None):
        yield Text("")
        yield from text_lines("I do not recognise this mistake.", width)
    if diagnosis.counterexample is not None:
        yield Text("")
        yield from _example_lines(diagnosis.counterexample, width)
    yield from remark_lines(diagnosis, width)


def remark_lines(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    """Yield what was seen that is no fault."""
    remarks = [seen.evidence for seen in diagnosis.conduct if not seen.is_fault]
    if remarks:
        yield Text("")
    for remark in remarks:
        yield from text_lines(f"worth knowing: {remark}", width)


def _verdict(diagnosis: Diagnosis) -> str:
    number = len(diagnosis.faults) + len(_evidence(diagnosis, None))
    if not number:
        return "✗ WRONG"
    confirmed = (
        f", confirmed on {NUM_PROBES} independent probes" if diagnosis.explanations and diagnosis.contract_name else ""
    )
    return f"✗ WRONG · {count(number, 'fault')}{confirmed}"


def _evidence(diagnosis: Diagnosis, name: str | None) -> list[str]:
    """Return what was seen of one fault in how the target behaves; None: of what has no name."""
    return [seen.evidence for seen in diagnosis.conduct if seen.is_fault and seen.fault == name]


def _fault_lines(fault: Fault, evidence: Sequence[str], level: Level, width: int) -> Iterator[Text]:
    """Say as much as the level allows: the question; then name, pointer and sightings; then the fix.

    The evidence, where what the target does shows the fault rather than what it computes, is said at every level.
    """
    yield Text("")
    if level == "question":
        yield from text_lines(fault.question, width, indent=2)
        for text in evidence:
            yield from labelled_lines("seen", text, width)
        return
    yield from title_lines(fault.name, f"({fault.stage})", width)
    yield from text_lines(fault.summary, width, indent=2)
    yield from labelled_lines("ask", fault.question, width)
    yield from labelled_lines("look", fault.pointer, width)
    for text in evidence:
        yield from labelled_lines("seen", text, width)
    if level == "fix":
        yield from code_lines(fault.fix, "fix")
    if fault.sightings:
        yield from text_lines(f"Seen in the wild: {' · '.join(map(str, fault.sightings))}", width, "quiet", indent=2)


def _tie_lines(diagnosis: Diagnosis, level: Level, width: int) -> Iterator[Text]:
    """Say which other faults are the same function here; at the first level only that there are some."""
    ties = _told_apart(diagnosis)
    if not ties:
        return
    yield Text("")
    if level == "question":
        yield from text_lines(f"{count(len(ties), 'mistake')} would do exactly this.", width, indent=2)
        return
    how_many = "two" if len(ties) == 2 else str(len(ties))
    yield from text_lines(f"these {how_many} are the same function here:", width, indent=2)
    for faults in ties:
        summaries = " ".join(fault.summary for fault in faults)
        yield from text_lines(f"{' + '.join(fault.name for fault in faults)}: {summaries}", width, indent=4, more=4)


def _told_apart(diagnosis: Diagnosis) -> list[tuple[Fault, ...]]:
    """Return the explanations without what they have in common, each once; empty where there is one explanation."""
    by_names = {frozenset(fault.name for fault in faults): faults for faults in diagnosis.explanations}
    if len(by_names) < 2:
        return []
    common = frozenset.intersection(*by_names)
    return [tuple(fault for fault in faults if fault.name not in common) for faults in by_names.values()]


def _difference_lines(difference: Difference, is_recognised: bool, width: int) -> Iterator[Text]:
    step = step_in_words(difference.step)
    if is_recognised:
        before = [step_in_words(name) for name in difference.right_before]
        right = f" ({_listed(before)} {'is' if len(before) == 1 and before[0] == 'output' else 'are'} right)"
        text = f"The first step that differs: {step}{right if before else ''}"
    else:
        text = f"I do not recognise this mistake; it first shows in the {step}, here:"
    yield from text_lines(text, width, "heading")
    yield from text_lines(f"in the call {difference.call}", width, "quiet")
    yield from compared_lines(difference.yours, difference.expected, width)


def _example_lines(example: Counterexample, width: int) -> Iterator[Text]:
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
