"""`surgeon experiment run`: from its options to settings, through the work, to what was found."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, visible, width_of
from attention_surgeon.cli.console import make_console, note, show
from attention_surgeon.cli.experiment_sweep_screen import experiment_of, is_sweep, spread_records
from attention_surgeon.cli.live import live_table
from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import Bench, Experiment, SavedRun, experiment_named
from attention_surgeon.experiments.result import Records
from attention_surgeon.experiments.runs import begin_run, run_saved, unfinished_run
from attention_surgeon.experiments.value_text import value_text
from attention_surgeon.files import read_text

STOPPED = 130
"""The exit code after Ctrl-C."""

_MOST_ROWS = 24

_LONGEST_CELL = 20

_SPREAD = ("_low", "_median", "_high")


@dataclass(frozen=True)
class Request:
    """What stood on the command line, `surgeon experiment run`."""

    name: str
    seed: int | None
    is_quick: bool
    text: Path | None
    settings: tuple[str, ...]
    out: Path
    resume: bool


def run_experiment(request: Request) -> int:
    """Run it, show what was found, and return the exit code.

    Raises:
        SurgeonError: no such experiment or setting, a text that cannot be read, a folder that cannot be written.
    """
    experiment = experiment_named(request.name)
    config = experiment.make_config(is_quick=request.is_quick, **settings_of(experiment, request))
    if request.resume:
        folder = unfinished_run(experiment, config, request.out)
        note(f"going on with {folder}")
    else:
        folder = begin_run(experiment, config, request.out, command_of(request))
    try:
        saved = _work(experiment, config, folder)
    except KeyboardInterrupt:
        note(f"what is done is kept in {folder}; go on with: {command_of(request)} --resume")
        raise typer.Exit(STOPPED) from None
    console = make_console()
    show(run_screen(saved, console.width), console)
    return 0


def command_of(request: Request) -> str:
    """Return the command that makes the same again.

    >>> command_of(Request("masking", 3, True, Path("my text.txt"), (), Path("runs"), False))
    "surgeon experiment run masking --seed 3 --quick --text 'my text.txt'"
    """
    words = ["surgeon", "experiment", "run", request.name]
    words += [] if request.seed is None else ["--seed", str(request.seed)]
    words += ["--quick"] if request.is_quick else []
    words += [] if request.text is None else ["--text", str(request.text)]
    words += [word for setting in request.settings for word in ("--set", setting)]
    words += [] if request.out == Path("runs") else ["--out", str(request.out)]
    return shlex.join(words)


def _work(experiment: Experiment, config: Any, folder: Path) -> SavedRun:
    with live_table(experiment.question) as on_progress:
        return run_saved(experiment, config, folder, Bench(folder, on_progress, note))


def settings_of(experiment: Experiment, request: Request) -> dict[str, Any]:
    """Return the settings that the command line gives: by --set, --seed and --text.

    Raises:
        SurgeonError: a setting without a value, a text that is not wanted or cannot be read.
    """
    given: dict[str, Any] = dict(_given_settings(request.settings))
    if request.seed is not None:
        given["seed"] = request.seed
    if request.text is not None:
        if not experiment.uses_text:
            raise OptionError(f"{experiment.name} works on drawn numbers, not on a text; leave --text away.")
        given |= {"text": read_text(request.text), "source": str(request.text)}
    return given


def _given_settings(settings: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield what was given by --set."""
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise OptionError(f"--set {setting}: expected NAME=VALUE, such as --set num_draws=100.")
        yield name, value_of(value)


def value_of(text: str) -> Any:
    """Return what stands behind `=`: a number, true, false, a list as 16,64, else the words as they are."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        parts = text.split(",")
        return tuple(value_of(part) for part in parts) if len(parts) > 1 else text
    return tuple(value) if isinstance(value, list) else value


def run_screen(run: SavedRun, width: int) -> Iterator[Text]:
    """Yield the screen; no line but those with a path or a command is wider than `width` cells."""
    yield Text(fit(f"{run.name} · {experiment_named(experiment_of(run.name)).question}", width), "heading")
    if not run.is_finished:
        yield from (Text(line, "bad") for line in folded("not finished: go on with", width))
        yield Text(f"  {run.command} --resume")
        return
    yield Text("")
    yield from record_lines(spread_records(run.records) if is_sweep(run.name) else run.records, width)
    yield Text("")
    for row in run.records:
        if isinstance(sample := row.get("sample"), str):
            yield Text(fit(f"{next(iter(row.values()))} writes:", width), "quiet")
            yield from (Text(f"  {line}") for line in folded(visible(sample), width - 2))
            yield Text("")
    yield from (Text(line) for line in folded(run.verdict, width))
    yield Text("")
    yield Text("figures", "quiet")
    yield from (Text(f"  {_short(path)}") for path in run.figures)
    yield Text("the same again", "quiet")
    yield Text(f"  {run.command}")


def record_lines(records: Records, width: int) -> Iterator[Text]:
    """Yield the records as a table of the columns that fit, each below its name; long words are left to the verdict."""
    shown = list(records[:_MOST_ROWS])
    names = [name for name in (records[0] if records else {}) if not any(_is_long(row[name]) for row in records)]
    names.sort(key=lambda name: name.endswith(_SPREAD))  # what does not fit is left out from the end
    columns = {name: [_cell(row[name]) for row in shown] for name in names}
    widths = {name: max(map(width_of, [*name.split("_"), *cells])) + 2 for name, cells in columns.items()}
    while sum(widths.values()) > width and len(widths) > 1:
        widths.popitem()
    heads = {name: name.split("_") for name in widths}
    for line in range(max((len(words) for words in heads.values()), default=0)):
        words = [words[line] if line < len(words) else "" for words in heads.values()]
        yield Text(_row(words, list(widths.values())), "quiet")
    for number in range(len(shown)):
        yield Text(_row([columns[name][number] for name in widths], list(widths.values())))
    if len(records) > _MOST_ROWS:
        yield Text(fit(f"and {len(records) - _MOST_ROWS} more in records.jsonl", width), "quiet")


def _row(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return fit(*first) + "".join(" " * (width - width_of(cell)) + cell for cell, width in others)


def _cell(value: Any) -> str:
    return "" if value is None else visible(value_text(value))


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and width_of(value) > _LONGEST_CELL


def _short(path: Path) -> str:
    """Return the path from here, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)
