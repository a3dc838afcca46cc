"""What `surgeon report` shows: a bar while it works, then what was found and what was made where."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from attention_surgeon.cli.cells import fit, folded
from attention_surgeon.cli.console import make_console, show
from attention_surgeon.cli.table import step_lines
from attention_surgeon.experiments.report import STAGES, Report, ReportConfig, run
from attention_surgeon.files import read_text
from attention_surgeon.trace import Check


def make_report(text: Path | None, out: Path, tokens: int, heads: int, image_format: str) -> int:
    """Make a report, show it, and return the exit code: 1 if a check failed.

    Raises:
        SurgeonError: the text cannot be read, an option is out of range, or the folder cannot be written.
    """
    config = ReportConfig(
        text=None if text is None else read_text(text),
        source=ReportConfig.source if text is None else str(text),
        folder=out,
        max_tokens=tokens,
        num_heads=heads,
        image_format=image_format,
    )
    console = make_console()
    report = _run_with_bar(config)
    checks = [check for name in ("every key", "causal") for check in report.traces[name].checks()]
    show(_screen(report, checks, console.width), console)
    return 0 if all(check.passed for check in checks) else 1


def _run_with_bar(config: ReportConfig) -> Report:
    """Run it under a progress bar on the standard error; without a terminal, one line for each stage."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        return run(config, lambda title: print(f"{title} ...", file=sys.stderr))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting", total=STAGES + 1)
        return run(config, lambda title: progress.update(bar, advance=1, description=title))


def _screen(report: Report, checks: Sequence[Check], width: int) -> Iterator[Text]:
    seen = report.traces["every key"]
    yield Text(fit("Attention, step by step", width), "heading")
    shown = f"the first {len(seen.query_tokens)} of {report.num_tokens} tokens" if report.num_tokens else ""
    yield Text(fit(f"{report.source}: {shown}", width))
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
    yield Text(fit("Made", width), "heading")
    yield from _made_lines(report)


def _scaling_lines(records: Sequence[Mapping[str, float | int | bool]], width: int) -> Iterator[Text]:
    at = {(record["d_k"], record["scaled"]): record for record in records}
    groups = {"largest weight": "mean_max_weight", "entropy": "entropy_share", "gradient": "score_gradient"}
    yield Text(fit("      " + "".join(f"{name:^18}" for name in groups), width))
    yield Text(fit(" d_k  " + "   plain  scaled  " * len(groups), width), "quiet")
    for d_k in dict.fromkeys(record["d_k"] for record in records):
        numbers = ((at[d_k, False][field], at[d_k, True][field]) for field in groups.values())
        yield Text(fit(f"{d_k:>4}  " + "".join(f"{plain:8.3f}{scaled:8.3f}  " for plain, scaled in numbers), width))


def _made_lines(report: Report) -> Iterator[Text]:
    """Yield the paths whole, however narrow the window: a cut path is no use."""
    for path in [*report.pictures.values(), report.journal]:
        yield Text(f"  {path}")
    for copy in report.kept:
        yield Text(f"  {copy} (what stood there before)", "quiet")
