"""The whole report: the text, every experiment, the page and the journal entry."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attention_surgeon.experiments.bench import make_folder
from attention_surgeon.experiments.claims import Claim, Judgement, decide_all
from attention_surgeon.experiments.experiment import Experiment
from attention_surgeon.experiments.page import Commands, build_page
from attention_surgeon.experiments.registry import EXPERIMENTS
from attention_surgeon.experiments.report import Report, ReportConfig, look, write_journal
from attention_surgeon.experiments.report_runs import (
    Section,
    Watch,
    plan_experiments,
    run_experiments,
    runs_folder,
)
from attention_surgeon.files import require_place, write_keeping
from attention_surgeon.threads import one_thread

PAGE = "report.html"


@final
@dataclass(frozen=True)
class WholeReport:
    """What a whole report made.

    Attributes:
        text: What was found about the text.
        sections: The experiments.
        claims: The claims of the course, judged by those that were run with their full settings.
        page: The page's file.
        kept: A copy of the page that stood there, if it told something else.
    """

    text: Report
    sections: tuple[Section, ...]
    claims: Sequence[tuple[Claim, Judgement]]
    page: Path
    kept: Path | None

    @property
    def failed(self) -> tuple[Section, ...]:
        """The experiments that failed."""
        return tuple(section for section in self.sections if section.run is None)


def make_whole_report(
    config: ReportConfig,
    commands: Commands,
    watch: Watch | None = None,
    on_stage: Callable[[str], None] = lambda title: None,
    experiments: Sequence[Experiment] | None = None,
) -> WholeReport:
    """Make everything: pictures of the text, all experiments, one page to read, and the journal entry.

    What an experiment found is kept in the folder of its run, so that a report that was stopped goes on when it is
    made again. A quick one keeps to one of torch's threads: it has nothing large to share out, and beside other
    programs two threads would mostly wait for each other.

    Args:
        config: The settings.
        commands: What makes the same again.
        watch: Who is told how the experiments go on.
        on_stage: Called with the title of each other stage as it begins.
        experiments: Which; None: all of them.

    Raises:
        FileAccessError: a folder or file cannot be made; what was made before that stays.
        FileFormatError: a run that is to be reused is damaged.
    """
    with one_thread() if config.is_quick else nullcontext():
        return _make(config, commands, watch, on_stage, experiments or EXPERIMENTS)


def _make(
    config: ReportConfig,
    commands: Commands,
    watch: Watch | None,
    on_stage: Callable[[str], None],
    experiments: Sequence[Experiment],
) -> WholeReport:
    report = look(config, on_stage)
    page, root = config.folder / PAGE, runs_folder(config)
    for place in (page, report.journal):
        require_place(place)
    make_folder(root)
    sections = run_experiments(plan_experiments(config, experiments), root, commands.one, watch)
    on_stage("writing the page and the journal")
    claims = decide_all(
        {section.run.name: section.run for section in sections if section.run and not section.planned.is_quick}
    )
    kept = write_keeping(page, build_page(report, sections, claims, commands).encode())
    write_journal(report, page, _found(sections))
    return WholeReport(report, sections, claims, page, kept)


def _found(sections: tuple[Section, ...]) -> Mapping[str, str]:
    """Return each verdict, or why there is none, by its question."""
    return {
        section.planned.experiment.question: section.run.verdict if section.run else f"failed: {section.problem}"
        for section in sections
    }
