"""What is shown of a run: the measurements as a table, the verdict, where the figures are, how to make it again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, visible, width_of
from attention_surgeon.cli.experiment_sweep_screen import experiment_of, is_sweep, spread_records
from attention_surgeon.experiments import SavedRun, experiment_named
from attention_surgeon.experiments.result import Records
from attention_surgeon.experiments.value_text import value_text

_MOST_ROWS = 24
_LONGEST_CELL = 20
_SPREAD = ("_low", "_median", "_high")


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
