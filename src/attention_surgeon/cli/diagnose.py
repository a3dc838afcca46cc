"""`surgeon diagnose`: from its options to what was found, and the verdict with the first wrong number."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from attention_surgeon.cli.cells import fit, text_lines, visible
from attention_surgeon.cli.console import make_console, show, write
from attention_surgeon.cli.faults import fault_as_dict
from attention_surgeon.cli.verdict import contract_in_words, verdict_lines
from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.file import FileDiagnosis, diagnose_file
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import find_fault
from attention_surgeon.verdict import LEVELS, Level, Verdict

_MIB = 2**20

_EXIT_CODES = {"right": 0, "wrong": 1, "unjudged": 2}

_HASH_DIGITS = 6

_LAST_PRINTED = 3

_FORMAT, _VERSION = "attention-surgeon diagnosis", 1


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
    return _EXIT_CODES[found.diagnosis.status]


def document(found: FileDiagnosis) -> dict[str, object]:
    """Return everything as plain data, with what the catalogue says about each fault."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        **found.as_dict(),
        "texts": _texts(found.diagnosis),
    }


def diagnosis_lines(found: FileDiagnosis, level: Level, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    yield from _head_lines(found, width)
    yield Text("")
    verdict = found.diagnosis
    yield from verdict_lines(verdict, level, width, found.options)
    if verdict.status == "unjudged":
        yield from _printed_lines(found, width)
    yield Text("")
    yield from text_lines(_last_line(verdict, level), width, "quiet")


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


def _printed_lines(found: FileDiagnosis, width: int) -> Iterator[Text]:
    last = [line for line in found.printed.splitlines() if line.strip()][-_LAST_PRINTED:]
    if last:
        yield from text_lines("the last that it printed:", width, "quiet")
        yield from (Text(fit(f"  {visible(line)}", width), "quiet") for line in last)


def _last_line(verdict: Verdict, level: Level) -> str:
    code = f"exit code {_EXIT_CODES[verdict.status]}"
    more = {"question": "--level pointer names it", "pointer": "--level fix shows the code"}
    if verdict.status == "wrong" and verdict.mistakes and level in more:
        return f"{more[level]} · --json for machines · {code}"
    return f"--json for machines · {code}"


def _texts(verdict: Verdict) -> dict[str, object]:
    """Return what the catalogue says of each mistake, in the words of this verdict."""
    named = {each.name: each for mistakes in (verdict.mistakes, *verdict.explanations) for each in mistakes}
    faults = {name: find_fault(name).reworded(summary=each.summary) for name, each in named.items()}
    return {name: fault_as_dict(fault) for name, fault in faults.items()}
