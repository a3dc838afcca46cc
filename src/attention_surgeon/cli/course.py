"""What `surgeon course check` prints."""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from attention_surgeon.cli.cells import count, fit, text_lines
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.window import duration
from attention_surgeon.course import load_course
from attention_surgeon.course.author import Findings, check_course, workspace_size
from attention_surgeon.course.client import Judge


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
