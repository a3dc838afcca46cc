"""All experiments for one report: what was run is read, what was begun goes on, and no failure loses the rest."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.experiments.bench import Bench, Progress
from attention_surgeon.experiments.experiment import Experiment
from attention_surgeon.experiments.language import load_corpus
from attention_surgeon.experiments.report import ReportConfig
from attention_surgeon.experiments.runs import SavedRun, begin_run, finished_run, run_saved, unfinished_run

_SHORT = 2
"""Seconds; what takes no longer is run with its full settings even where it is to be quick."""
_QUICK_SECONDS = 3


@final
@dataclass(frozen=True)
class Planned:
    """One experiment that a report is to hold.

    Attributes:
        experiment: Which.
        config: Its settings.
        is_quick: Whether these are the quick ones.
        remark: What is to be said about the settings, such as why the user's text is not used.
        was_there: The finished run with these settings; None: it is still to be made.
    """

    experiment: Experiment
    config: Any
    is_quick: bool
    remark: str = ""
    was_there: SavedRun | None = None

    @property
    def uses_own_text(self) -> bool:
        """Whether it works on the user's text."""
        return getattr(self.config, "text", None) is not None

    @property
    def seconds(self) -> int:
        """How long it will take on two cores, roughly."""
        if self.was_there is not None:
            return 0
        return min(self.experiment.seconds, _QUICK_SECONDS) if self.is_quick else self.experiment.seconds


@final
@dataclass(frozen=True)
class Section:
    """One experiment of a report, run or failed.

    Attributes:
        planned: What was to be run.
        run: What came out; None: it failed.
        problem: Why it failed.
    """

    planned: Planned
    run: SavedRun | None
    problem: str = ""


def _ignore(*_: Any) -> None:
    """Do nothing with what is told."""


@final
@dataclass(frozen=True)
class Watch:
    """Who is told how the experiments go on.

    Attributes:
        on_plan: Called with all experiments before the first is begun.
        on_begin: Called with each experiment before it is run.
        on_progress: Called with each step of it.
        on_end: Called with what became of it.
        on_note: Called with a sentence worth knowing.
    """

    on_plan: Callable[[Sequence[Planned]], None] = _ignore
    on_begin: Callable[[Planned], None] = _ignore
    on_progress: Callable[[Progress], None] = _ignore
    on_end: Callable[[Section], None] = _ignore
    on_note: Callable[[str], None] = _ignore


def runs_folder(config: ReportConfig) -> Path:
    """Return where the runs of a report are kept."""
    return config.folder / "runs" if config.runs is None else config.runs


def plan_experiments(config: ReportConfig, experiments: Sequence[Experiment]) -> tuple[Planned, ...]:
    """Return what a report is to hold.

    Where it is to be quick, an experiment still has its full settings if it is short or was run with them before.
    """
    return tuple(_plan(experiment, config) for experiment in experiments)


def _plan(experiment: Experiment, config: ReportConfig) -> Planned:
    full = _planned(experiment, config, is_quick=False)
    if full.was_there is not None or not config.is_quick or experiment.seconds <= _SHORT:
        return full
    return _planned(experiment, config, is_quick=True)


def _planned(experiment: Experiment, config: ReportConfig, *, is_quick: bool) -> Planned:
    settings, remark = _settings(experiment, config, is_quick=is_quick)
    try:
        return Planned(experiment, settings, is_quick, remark, finished_run(experiment, settings, runs_folder(config)))
    except SurgeonError as error:
        return Planned(experiment, settings, is_quick, f"{remark} It was run again, because {error}".strip())


def _settings(experiment: Experiment, config: ReportConfig, *, is_quick: bool) -> tuple[Any, str]:
    """Return the settings with the user's text, if there is one and it is long enough, and a remark if it is not."""
    if config.text is None or not experiment.uses_text:
        return experiment.make_config(is_quick=is_quick), ""
    chosen = experiment.make_config(is_quick=is_quick, text=config.text, source=config.source)
    language = getattr(chosen, "language", None)
    try:
        if language is not None:
            load_corpus(config.text, config.source, language)
    except SurgeonError as error:
        remark = f"The text that ships with the package was used here, because {error}"
        return experiment.make_config(is_quick=is_quick), remark
    return chosen, ""


def run_experiments(
    planned: Sequence[Planned], root: Path, command: Callable[[Planned], str], watch: Watch | None = None
) -> tuple[Section, ...]:
    """Run what is planned, in its order; an experiment that fails is noted, and the next one begun.

    Args:
        planned: The experiments.
        root: Where the runs are kept. One that was begun there with the same settings goes on.
        command: What makes the run again, kept with it.
        watch: Who is told about it.
    """
    return tuple(_run_all(planned, root, command, watch or Watch()))


def _run_all(
    planned: Sequence[Planned], root: Path, command: Callable[[Planned], str], watch: Watch
) -> Iterator[Section]:
    watch.on_plan(planned)
    for one in planned:
        watch.on_begin(one)
        section = _run(one, root, command, watch)
        watch.on_end(section)
        yield section


def _run(one: Planned, root: Path, command: Callable[[Planned], str], watch: Watch) -> Section:
    if one.was_there is not None:
        return Section(one, one.was_there)
    try:
        folder = _folder(one, root, command)
        bench = Bench(folder, watch.on_progress, watch.on_note)
        return Section(one, run_saved(one.experiment, one.config, folder, bench))
    except SurgeonError as error:
        return Section(one, None, str(error))
    except Exception as error:  # noqa: BLE001  whatever is wrong with one experiment must not lose the others
        watch.on_note(traceback.format_exc())
        return Section(one, None, f"a mistake in attention-surgeon, please report it: {type(error).__name__}: {error}")


def _folder(one: Planned, root: Path, command: Callable[[Planned], str]) -> Path:
    """Return the run that was begun with these settings and not finished, or a new one."""
    try:
        return unfinished_run(one.experiment, one.config, root)
    except OptionError:
        return begin_run(one.experiment, one.config, root, command(one))
