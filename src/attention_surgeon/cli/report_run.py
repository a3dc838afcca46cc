"""From the options of `surgeon report` to a whole report, under a bar."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

import typer

from attention_surgeon.cli import experiment_run
from attention_surgeon.cli.console import make_console, note, show
from attention_surgeon.cli.report_bar import report_bar
from attention_surgeon.cli.report_screen import checks_of, report_screen
from attention_surgeon.experiments.report import ReportConfig
from attention_surgeon.experiments.report_all import Commands, make_whole_report
from attention_surgeon.experiments.report_runs import Planned, runs_folder
from attention_surgeon.files import read_text

_STOPPED = 130


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
