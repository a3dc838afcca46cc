"""What `surgeon report` shows in the end: what was found, and what was made where."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, visible, width_of
from attention_surgeon.cli.table import step_lines
from attention_surgeon.experiments.claims import count_judgements
from attention_surgeon.experiments.report import Report
from attention_surgeon.experiments.report_all import WholeReport
from attention_surgeon.experiments.report_runs import Section
from attention_surgeon.trace import Check


def checks_of(report: Report) -> list[Check]:
    """Return the checks of both traces that a report shows."""
    return [check for name in ("every key", "causal") for check in report.traces[name].checks()]


def report_screen(made: WholeReport, width: int) -> Iterator[Text]:
    """Yield the screen; no line but those with a path is wider than `width` cells."""
    report = made.text
    seen = report.traces["every key"]
    yield Text(fit("Attention, step by step", width), "heading")
    shown = f"the first {len(seen.query_tokens)} of {report.num_tokens} tokens" if report.num_tokens else ""
    yield Text(fit(f"{visible(report.source)}: {shown}", width))
    yield Text(fit(seen.source, width), "quiet")
    yield Text("")
    yield from step_lines(seen, seen.checks(), width)
    causal = report.traces["causal"].checks()
    failed = sum(not check.passed for check in causal)
    told = f"{len(causal) - failed} of {len(causal)} checks passed"
    yield Text(fit(f"with the causal mask: {told}", width), "bad" if failed else "quiet")
    yield Text("")
    yield Text(fit("With and without 1/√d_k", width), "heading")
    yield from _scaling_lines(report.scaling.records, width)
    yield from (Text(fit(line, width)) for line in folded(report.scaling.verdict, width))
    yield Text("")
    yield Text(fit(f"{len(made.sections)} experiments", width), "heading")
    for section in made.sections:
        yield from _section_lines(section, width)
    yield Text("")
    yield Text(fit("The claims of the course", width), "heading")
    counts = count_judgements(made.claims)
    told = f"{sum(counts.values())} claims: {', '.join(f'{count} {status}' for status, count in counts.items())}"
    yield from (Text(line) for line in folded(told, width))
    yield Text("")
    yield Text(fit("Made", width), "heading")
    yield from _made_lines(made)


def _scaling_lines(records: Sequence[Mapping[str, float | int | bool]], width: int) -> Iterator[Text]:
    at = {(record["d_k"], record["scaled"]): record for record in records}
    groups = {"largest weight": "mean_max_weight", "entropy": "entropy_share", "gradient": "score_gradient"}
    yield Text(fit("      " + "".join(f"{name:^18}" for name in groups), width))
    yield Text(fit(" d_k  " + "   plain  scaled  " * len(groups), width), "quiet")
    for d_k in dict.fromkeys(record["d_k"] for record in records):
        numbers = ((at[d_k, False][field], at[d_k, True][field]) for field in groups.values())
        yield Text(fit(f"{d_k:>4}  " + "".join(f"{plain:8.3f}{scaled:8.3f}  " for plain, scaled in numbers), width))


def _section_lines(section: Section, width: int) -> Iterator[Text]:
    """Yield an experiment's name beside the first sentence of what it found, or why it failed."""
    name = section.planned.experiment.name
    room = 12
    if section.run is None:
        sign, style, told = "✗", "bad", f"failed: {section.problem}"
    else:
        sign, style, told = "✓", "good", _first_sentence(section.run.verdict)
    told = f"(quick) {told}" if section.planned.is_quick else told
    for number, line in enumerate(folded(told, max(width - room - 2, 1))):
        left = Text.assemble((sign, style), f" {name:<{room}}") if number == 0 else Text(" " * (room + 2))
        yield Text.assemble(left, fit(line, max(width - room - 2, width_of(line))))


def _first_sentence(text: str) -> str:
    """Return the text up to where a second sentence begins.

    >>> _first_sentence("The loss is 2.5, i.e. low. With a mask it is 3.")
    'The loss is 2.5, i.e. low.'
    """
    return re.split(r"(?<=[.]) (?=[A-Z])", text, maxsplit=1)[0]


def _made_lines(made: WholeReport) -> Iterator[Text]:
    """Yield the paths whole, however narrow the window: a cut path is no use."""
    yield Text(f"  {made.page}")
    for path in [*made.text.pictures.values(), made.text.journal]:
        yield Text(f"  {path}")
    for copy in [*made.text.kept, *([made.kept] if made.kept else [])]:
        yield Text(f"  {copy} (what stood there before)", "quiet")
