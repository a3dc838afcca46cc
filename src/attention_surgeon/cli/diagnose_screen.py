"""What `surgeon diagnose` shows: which text was run and how, the verdict, and where the first wrong number appears."""

import json
from collections.abc import Iterator, Sequence

from rich.text import Text

from attention_surgeon.cli.cells import fit, visible
from attention_surgeon.cli.console import make_console, show, write
from attention_surgeon.cli.diagnose_words import claim, contract_in_words
from attention_surgeon.cli.faults_screen import fault_as_dict
from attention_surgeon.cli.lines import count, text_lines
from attention_surgeon.cli.mistakes import Level, remark_lines, wrong_lines
from attention_surgeon.diagnose import Diagnosis
from attention_surgeon.diagnose.explain import NUM_PROBES
from attention_surgeon.diagnose.file import FileDiagnosis
from attention_surgeon.faults import Fault

_EXIT_CODES = {"right": 0, "wrong": 1, "unjudged": 2}
_HASH_DIGITS = 6
_LAST_PRINTED = 3
_FORMAT, _VERSION = "attention-surgeon diagnosis", 1


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
    verdict = f"✓ RIGHT · {count(len(diagnosis.calls), 'call')}, each on {NUM_PROBES} independent probes"
    yield from text_lines(verdict, width, "good")
    yield from text_lines(", ".join(diagnosis.calls), width, "quiet", indent=2)
    known, because = claim(diagnosis.contract_name, found.options)
    yield from text_lines(known, width, indent=2)
    yield from text_lines(because, width, indent=2)
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
