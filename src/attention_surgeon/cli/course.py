"""What `surgeon course check` and `surgeon grade` print."""

import csv
import io
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rich.text import Text

from attention_surgeon.cli.cells import count, fit, text_lines
from attention_surgeon.cli.check import SIGNS
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.window import duration
from attention_surgeon.course import load_course
from attention_surgeon.course.asking import Allowance
from attention_surgeon.course.author import Findings, check_course, workspace_size
from attention_surgeon.course.client import Judge
from attention_surgeon.course.grade import Grade, grade
from attention_surgeon.errors import OptionError

_COLUMNS = ("submission", "exercise", "status", "mistakes", "sentence", "sha256", "saved", "seconds")
_FORMAT, _VERSION = "attention-surgeon grades", 2


@final
@dataclass(frozen=True)
class Wanted:
    """What stood on the command line, `surgeon grade`."""

    folders: tuple[Path, ...]
    exercises: tuple[str, ...]
    content: tuple[Path, ...]
    seconds: float
    jobs: int | None
    as_json: bool
    as_csv: bool


def check_content(
    folders: Sequence[Path], *, exercises: Sequence[str] = (), is_quick: bool, jobs: int, as_json: bool
) -> int:
    """Check a course, print what was found, return 0 if all is in order; with `exercises` only these are judged."""
    course = load_course(*folders)
    only = [course.exercise(name) for name in exercises]
    is_quick = is_quick or bool(only)
    with Judge() as judge:
        findings = check_course(course, judge, with_tests=not is_quick, only=only)
    if not is_quick:
        from attention_surgeon.course.author_faults import examine_contracts  # it loads torch

        note("the catalogue of mistakes is put to every contract …")
        found = examine_contracts(course, jobs)
        findings.problems += found["problems"]
        for what, number in found["counts"].items():
            findings.good(what, number)
    findings.good("exercises", len(only or course.exercises))
    findings.good("units", len(course.units))
    findings.good("bytes in a new workspace", workspace_size(course))
    if as_json:
        write(f"{json.dumps({'format': 'attention-surgeon course check', 'version': 1, **vars(findings)})}\n")
    else:
        console = make_console()
        show(_finding_lines(findings, console.width), console)
    return 1 if findings.problems else 0


def _finding_lines(findings: Findings, width: int) -> Iterator[Text]:
    for what, number in findings.counts.items():
        yield Text(fit(f"  {number:>7,}  {what}", width))
    if findings.seconds:
        times = sorted(findings.seconds.values())
        middle, longest = statistics.median(times), times[-1]
        yield Text(fit(f"  {duration(middle):>7}  median time of a verdict, longest {duration(longest)}", width))
    for problem in findings.problems:
        yield from text_lines(f"✗ {problem}", width, "bad", more=2)
    if findings.problems:
        yield from text_lines(count(len(findings.problems), "problem"), width, "bad")
    else:
        yield from text_lines("✓ all in order", width, "good")


def grade_class(wanted: Wanted) -> int:
    """Grade all submissions, print the grades and return the exit code.

    Raises:
        OptionError: JSON and CSV at once.
    """
    if wanted.as_json and wanted.as_csv:
        raise OptionError("--json and --csv exclude each other; give one of them.")
    course = load_course(*wanted.content)
    exercises = [course.exercise(name) for name in wanted.exercises] or None
    grades = grade(course, wanted.folders, exercises, Allowance(wanted.seconds), wanted.jobs)
    if wanted.as_json:
        document = {"format": _FORMAT, "version": _VERSION, "grades": [_plain(each) for each in grades]}
        write(f"{json.dumps(document)}\n")
    elif wanted.as_csv:
        write(_as_csv(grades))
    else:
        console = make_console()
        show((_grade_line(each, console.width) for each in grades), console)
    return 0


def _plain(each: Grade) -> dict[str, Any]:
    verdict = {} if each.verdict is None else each.verdict.as_dict()
    sentence = each.sentence or verdict.get("sentence", "")
    own = {"submission": each.submission, "exercise": each.exercise, "status": each.status, "sentence": sentence}
    return verdict | own


def _as_csv(grades: Sequence[Grade]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in grades:
        plain = _plain(each)
        plain["mistakes"] = " ".join(each.verdict.names) if each.verdict else ""
        writer.writerow([_unformulated(plain.get(column, "")) for column in _COLUMNS])
    return text.getvalue()


def _unformulated(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: the names of folders are the learners'."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def _grade_line(each: Grade, width: int) -> Text:
    sign, style = SIGNS.get(each.status, ("○", "quiet"))
    said = ", ".join(each.verdict.names) if each.verdict else each.sentence
    told = f"{Path(each.submission).name:<20} {each.exercise:<24} {each.status:<10} {said}"
    return Text.assemble((sign, style), " ", fit(told.replace("\n", " "), max(width - 2, 8)))
