"""What `surgeon experiment list` shows: each experiment, its question, and how long it takes."""

from collections.abc import Iterator

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded
from attention_surgeon.cli.console import make_console, show
from attention_surgeon.experiments import EXPERIMENTS, Experiment

_GAP = 2


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
