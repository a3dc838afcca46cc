"""`surgeon report`: from its options to a whole report, under a bar that shows the time that is left."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from attention_surgeon.cli import experiment_run
from attention_surgeon.cli.cells import fit, folded, visible, width_of
from attention_surgeon.cli.console import make_console, note, show
from attention_surgeon.cli.live import bar_of, clock_time
from attention_surgeon.cli.trace import step_lines
from attention_surgeon.experiments import Progress
from attention_surgeon.experiments.claims import count_judgements
from attention_surgeon.experiments.report import Report, ReportConfig
from attention_surgeon.experiments.report_all import Commands, WholeReport, make_whole_report
from attention_surgeon.experiments.report_runs import Planned, Section, Watch, runs_folder
from attention_surgeon.files import read_text
from attention_surgeon.trace import Check

_STOPPED = 130

_PER_SECOND = 4

_NEXT = {
    "surgeon start my_course": "write attention yourself; each save is judged",
    "surgeon diagnose FILE.py:NAME": "your own: right, or which mistake, and where",
    "surgeon trace 'a sentence of yours'": "its weights, step by step",
}
"""What to try when the report has been read, and what for."""

_TRUSTED = 5
"""Seconds of expected work after which it is known how fast this machine is."""


class Request(NamedTuple):
    """The options of `surgeon report`."""

    text: Path | None
    out: Path
    is_quick: bool
    tokens: int
    heads: int
    image_format: str
    runs: Path | None


def make_report(request: Request) -> int:
    """Make a report, show it, and return the exit code: 1 if a check or an experiment failed.

    Raises:
        SurgeonError: the text cannot be read, an option is out of range, or a folder cannot be written.
    """
    config = _config(request)
    commands = Commands(command_of(request), lambda one: _command_of_one(one, request, runs_folder(config)))
    try:
        with report_bar() as (watch, on_stage):
            made = make_whole_report(config, commands, watch, on_stage)
    except KeyboardInterrupt:
        note(f"what is done is kept in {runs_folder(config)}; go on with: {commands.whole}")
        raise typer.Exit(_STOPPED) from None
    console = make_console()
    show(report_screen(made, console.width), console)
    return 1 if made.failed or not all(check.passed for check in checks_of(made.text)) else 0


def command_of(request: Request) -> str:
    """Return the command that makes the same again.

    >>> command_of(Request(Path("my text.txt"), Path("demo"), True, 24, 4, "png", None))
    "surgeon report --text 'my text.txt' --out demo --quick"
    """
    words = ["surgeon", "report"]
    words += [] if request.text is None else ["--text", _readable(request.text)]
    words += [] if request.out == Path() else ["--out", str(request.out)]
    words += ["--quick"] if request.is_quick else []
    usual = ReportConfig()
    words += [] if request.tokens == usual.max_tokens else ["--tokens", str(request.tokens)]
    words += [] if request.heads == usual.num_heads else ["--heads", str(request.heads)]
    words += [] if request.image_format == usual.image_format else ["--format", request.image_format]
    words += [] if request.runs is None else ["--runs", str(request.runs)]
    return shlex.join(words)


def _config(request: Request) -> ReportConfig:
    return ReportConfig(
        text=None if request.text is None else read_text(request.text),
        source=ReportConfig.source if request.text is None else _readable(request.text),
        folder=request.out,
        max_tokens=request.tokens,
        num_heads=request.heads,
        image_format=request.image_format,
        is_quick=request.is_quick,
        runs=request.runs,
    )


def _command_of_one(one: Planned, request: Request, root: Path) -> str:
    text = Path(_readable(request.text)) if request.text and one.uses_own_text else None
    return experiment_run.command_of(
        experiment_run.Request(one.experiment.name, None, one.is_quick, text, (), root, resume=False)
    )


def _readable(path: Path) -> str:
    """Return a path as text that can be written: names of files may hold bytes that are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


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
    yield Text("")
    yield Text(fit("To try next", width), "heading")
    for command, use in _NEXT.items():
        yield from (Text(line) for line in folded(f"{command}: {use}", width))


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


@final
class ReportBoard:
    """What has been told so far, and how it is drawn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing planned."""
        self._clock = clock
        self._stage = "starting"
        self._planned: Sequence[Planned] = ()
        self._num_done = 0
        self._rows: dict[str, tuple[int, int]] = {}
        self._begun = clock()

    def stage(self, title: str) -> None:
        """Take in that something else than an experiment begins."""
        self._stage = title

    def plan(self, planned: Sequence[Planned]) -> None:
        """Take in what is to be run."""
        self._planned, self._begun = planned, self._clock()

    def begin(self, one: Planned) -> None:
        """Take in that an experiment begins."""
        self._stage, self._rows = f"{one.experiment.name}: {one.experiment.question}", {}

    def tell(self, progress: Progress) -> None:
        """Take in how far a row of it is."""
        self._rows[progress.row] = (progress.done, progress.total)

    def end(self, section: Section) -> None:
        """Take in that it is done, or failed."""
        self._num_done, self._rows = self._num_done + 1, {}

    def seconds_left(self) -> float | None:
        """Return how long the rest will take: as was measured before, and as fast as this machine was so far."""
        expected = sum(one.seconds for one in self._planned)
        done = self._expected_done()
        pace = (self._clock() - self._begun) / done if done >= _TRUSTED else 1.0
        return (expected - done) * pace if self._planned else None

    def _expected_done(self) -> float:
        before = float(sum(one.seconds for one in self._planned[: self._num_done]))
        if self._num_done >= len(self._planned):
            return before
        done, total = (sum(row[at] for row in self._rows.values()) for at in (0, 1))
        return before + self._planned[self._num_done].seconds * (done / total if total else 0.0)

    def __rich__(self) -> Group:
        """Draw it."""
        left = self.seconds_left()
        if left is None:
            return Group(Text(self._stage, "heading"))
        bar = bar_of(self._expected_done(), sum(one.seconds for one in self._planned))
        told = f"{clock_time(self._clock() - self._begun)} so far, about {clock_time(left)} left"
        counted = f"  {self._num_done} of {len(self._planned)} experiments · {told}"
        return Group(Text(self._stage, "heading"), Text.assemble((bar, "weight"), (counted, "quiet")))


@contextmanager
def report_bar(console: Console | None = None) -> Iterator[tuple[Watch, Callable[[str], None]]]:
    """Yield who watches the experiments and who is told the other stages; both show it on the standard error.

    Without a terminal there is one line for each stage and experiment.
    """
    console = console or make_console(stderr=True)
    if not console.is_terminal:
        yield Watch(on_end=_print_end, on_note=note), lambda title: print(f"{title} ...", file=sys.stderr)
        return
    board = ReportBoard()
    with Live(board, console=console, refresh_per_second=_PER_SECOND, transient=True) as live:
        notes = lambda message: live.console.print(Text(message))  # noqa: E731
        yield Watch(board.plan, board.begin, board.tell, board.end, notes), board.stage


def _print_end(section: Section) -> None:
    if section.run is None:
        became = f"failed: {section.problem}"
    else:
        became = f"read from {section.run.folder}" if section.planned.was_there else "done"
    print(f"{section.planned.experiment.name}: {became}", file=sys.stderr)
