"""`surgeon experiment list`, `show`, `compare`: what there is, what a run found, and in what two differ."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded
from attention_surgeon.cli.console import make_console, show
from attention_surgeon.cli.experiment_run import record_lines, run_screen
from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import EXPERIMENTS, Experiment, SavedRun, find_run
from attention_surgeon.experiments.result import Record, Records

_GAP = 2


def show_run(wanted: str, root: Path) -> int:
    """Print a run and return the exit code.

    Raises:
        FileAccessError, FileFormatError: there is no such run, or it is damaged.
    """
    console = make_console()
    show(run_screen(find_run(wanted, root), console.width), console)
    return 0


def print_experiments() -> int:
    """Print the list and return the exit code."""
    console = make_console()
    show(list_lines(EXPERIMENTS, console.width), console)
    return 0


def list_lines(experiments: tuple[Experiment, ...], width: int) -> Iterator[Text]:
    """Yield the list, no line wider than `width` cells."""
    names = max(len(experiment.name) for experiment in experiments) + _GAP
    times = max(len(experiment.duration) for experiment in experiments) + _GAP
    room = max(width - names - times, 16)
    for experiment in experiments:
        first, *more = folded(experiment.question, room)
        yield Text.assemble((fit(experiment.name, names), "heading"), fit(experiment.duration, times), first)
        yield from (Text(" " * (names + times) + line) for line in more)
    yield Text("")
    yield from (Text(fit(line, width), "quiet") for line in folded(_HOW, width))


_HOW = "Times are on two cores; --quick takes seconds. Run one with: surgeon experiment run NAME"


def compare_runs(first: str, second: str, root: Path) -> int:
    """Print in what two runs differ and return the exit code: 1 if a measurement differs.

    Raises:
        FileAccessError, FileFormatError: there is no such run, or it is damaged.
        OptionError: two experiments, or one that is not finished.
    """
    runs = find_run(first, root), find_run(second, root)
    _check(*runs)
    console = make_console()
    show(compare_lines(*runs, console.width), console)
    return 0 if (runs[0].records, runs[0].tables) == (runs[1].records, runs[1].tables) else 1


def compare_lines(first: SavedRun, second: SavedRun, width: int) -> Iterator[Text]:
    """Yield the screen, no line wider than `width` cells but those with a path."""
    yield Text(fit(first.name, width), "heading")
    yield Text(f"A  {first.folder}")
    yield Text(f"B  {second.folder}")
    yield Text("")
    for what, mine, other in (("settings", first.config, second.config), ("versions", first.versions, second.versions)):
        changes = list(_changes(_flat(mine), _flat(other)))
        for line in folded(f"{what}: {'; '.join(changes) or 'the same'}", width, indent=2):
            yield Text(line, "" if changes else "quiet")
    yield Text("")
    if (first.records, first.tables) == (second.records, second.tables):
        yield Text(fit("every measurement is the same, to the last digit", width), "good")
        return
    yield Text(fit("B - A, measurement by measurement", width), "quiet")
    yield from record_lines(differences(first.records, second.records), width)


def differences(first: Records, second: Records) -> Records:
    """Return for each record of both runs what is added to the numbers of the first; words stay where they agree."""
    return tuple(
        {name: _difference(name, value, other.get(name)) for name, value in mine.items() if not _is_text(value, other)}
        for mine, other in zip(first, second, strict=False)
    )


def _difference(name: str, mine: Any, other: Any) -> Any:
    both = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (mine, other))
    if not both or (isinstance(mine, int) and mine == other):  # a whole number that agrees names the record
        return mine if mine == other else f"{mine} → {other}"
    return float(other - mine)


def _is_text(value: Any, other: Record) -> bool:
    return isinstance(value, str) and value not in other.values()


def _check(first: SavedRun, second: SavedRun) -> None:
    if first.name != second.name:
        raise OptionError(
            f"{first.folder} is of {first.name} and {second.folder} of {second.name}: nothing to compare."
        )
    for run in (first, second):
        if not run.is_finished:
            raise OptionError(f"{run.folder} is not finished; go on with: {run.command} --resume")


def _changes(mine: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(mine.keys() | other.keys()):
        if mine.get(name) != other.get(name):
            yield f"{name} {mine.get(name)} → {other.get(name)}"


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
