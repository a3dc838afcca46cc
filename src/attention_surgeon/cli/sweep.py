"""`surgeon sweep`: from its options to its folder, and the map of all heads in shades."""

import contextlib
import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from rich.text import Text

from attention_surgeon.cli.cells import fit, shade, shortened, text_lines, title_lines
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.live import live_table
from attention_surgeon.cli.operate import text_of
from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.experiments import Backend, Progress
from attention_surgeon.experiments.backends_by_name import open_workers
from attention_surgeon.files import file_access_error, write_in_folders
from attention_surgeon.surgery.loading import LoadedModel, load_model
from attention_surgeon.surgery.sweep import (
    HeadResult,
    HeadTask,
    Measure,
    Try,
    plan_heads,
    sweep_heads,
    try_head,
    try_here,
)

STOPPED = 130

_RECORDS, _TABLE, _PICTURE = "records.jsonl", "heads.csv", "heads.png"

_FORMAT, _VERSION = "attention-surgeon head sweep", 1

_MOST_ROWS = 8

_UNITS: dict[Measure, str] = {
    "loss": "change of the loss, nats per token",
    "divergence": "divergence of the expected tokens, nats",
    "distance": "1 − cosine of the mean state",
}


class SweepRequest(NamedTuple):
    """The options; None where one was not given."""

    model: str
    fault: str
    layers: str | None
    heads: str | None
    text: str | None
    file: Path | None
    window: int
    out: Path | None
    jobs: int
    backend: str
    address: str | None


def run_sweep(request: SweepRequest, *, as_json: bool) -> int:
    """Try every head, keep and show what was found, and return the exit code.

    Raises:
        SurgeonError: as `surgery.load_model`, `surgery.sweep.plan_heads` and `experiments.Backend`.
    """
    if request.jobs < 1:
        raise OptionError(f"--jobs is {request.jobs}, expected at least 1.")
    text = text_of(request.text, request.file)
    loaded = load_model(request.model, note)
    places = {"layers": request.layers, "heads": request.heads, "window": request.window}
    tasks = plan_heads(loaded, request.fault, text, **places)
    folder = request.out or Path("runs") / "heads" / _folder_name(request, tasks)
    results = _work(tasks, loaded, request, folder)
    _write_table(results, folder)
    _draw(results, request, folder)
    if as_json:
        write(f"{as_json_text(results, request.model, request.fault, folder)}\n")
    else:
        console = make_console()
        show(sweep_lines(results, request.model, request.fault, folder, console.width), console)
    return 0


def _work(tasks: Sequence[HeadTask], loaded: LoadedModel, request: SweepRequest, folder: Path) -> list[HeadResult]:
    path = folder / _RECORDS
    known = read_records(path)
    num_known = sum(task.name in known for task in tasks)
    if num_known:
        note(f"{num_known} of {len(tasks)} heads are in {folder} already")
    done = num_known
    try:
        with _trying(loaded, request) as tried, live_table(f"{request.fault} on each head") as on_progress:

            def keep(task: HeadTask, result: HeadResult) -> None:
                nonlocal done
                _append(path, task, result)
                done += 1
                on_progress(Progress("heads", done, len(tasks), {"change": result.change}))

            return list(sweep_heads(tasks, tried, known=known, on_result=keep))
    except KeyboardInterrupt:
        note(f"what is done is kept in {folder}; the same command goes on")
        raise typer.Exit(STOPPED) from None


@contextlib.contextmanager
def _trying(loaded: LoadedModel, request: SweepRequest) -> Iterator[Try]:
    if request.jobs == 1 and request.backend == "local" and request.address is None:
        yield try_here(loaded)
        return
    backend = Backend(request.backend, request.address, request.jobs if request.backend == "local" else None)
    with open_workers(backend, note) as workers:
        yield lambda missing: workers.measure(missing, try_head)


def read_records(path: Path) -> dict[str, HeadResult]:
    """Return the results that a sweep kept, by the name of their task; a line that was cut short is left out.

    Raises:
        FileAccessError: the file cannot be read.
        FileFormatError: it is not of a sweep.
    """
    if not path.is_file():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise file_access_error("read", path, error) from error
    found = {}
    for line in lines:
        # A line that was cut short when a sweep was stopped is tried again.
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            row = json.loads(line)
            task = row.pop("task")
            found[task] = HeadResult(**row)
    if not found and len(lines) > 1:
        raise FileFormatError(f"{path} holds no records of a sweep; remove it, or take another --out.")
    return found


def _append(path: Path, task: HeadTask, result: HeadResult) -> None:
    line = f"{json.dumps({'task': task.name, **asdict(result)})}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        with path.open("ab") as file:
            # A line that was cut short when the last sweep was stopped must not swallow this one.
            file.write((b"\n" if content and not content.endswith(b"\n") else b"") + line.encode())
    except OSError as error:
        raise file_access_error("write", path, error) from error


def _folder_name(request: SweepRequest, tasks: Sequence[HeadTask]) -> str:
    """Return a name for the text and the operation, the same for a part of the heads."""
    whole = hashlib.sha256(f"{request.model} {request.fault} {tasks[0].windows}".encode()).hexdigest()[:8]
    short = "".join(letter if letter.isalnum() else "-" for letter in Path(request.model).name)
    return f"{short}-{request.fault.replace(':', '-')}-{whole}"


def _write_table(results: Sequence[HeadResult], folder: Path) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["layer", "head", "kv_head", "measure", "before", "after", "change", "changed"])
    for one in results:
        writer.writerow([one.layer, one.head, one.kv_head, one.measure, one.before, one.after, one.change, one.changed])
    write_in_folders(folder / _TABLE, table.getvalue())


def _draw(results: Sequence[HeadResult], request: SweepRequest, folder: Path) -> None:
    from attention_surgeon.plots import save_figure  # here, because it loads matplotlib
    from attention_surgeon.plots.head_changes import plot_head_changes

    rows: Mapping[str, Mapping[int, float]] = by_layer(results)
    width = max(head for row in rows.values() for head in row) + 1
    changes = np.array([[row.get(head, np.nan) for head in range(width)] for row in rows.values()])
    title = f"{request.model}: {request.fault} on each head alone"
    figure = plot_head_changes(changes, layers=list(rows), title=title, label=unit_of(results[0].measure))
    save_figure(figure, folder / _PICTURE)


def unit_of(measure: Measure) -> str:
    """Return what is measured, in words, with its unit."""
    return _UNITS[measure]


def by_layer(results: Sequence[HeadResult]) -> dict[str, dict[int, float]]:
    """Return the change for each head, layer by layer."""
    rows: dict[str, dict[int, float]] = {}
    for one in results:
        rows.setdefault(one.layer, {})[one.head] = one.change
    return rows


def sweep_lines(results: Sequence[HeadResult], model: str, fault: str, folder: Path, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    yield from title_lines(f"{fault} on each of {len(results)} heads of {model}", unit_of(results[0].measure), width)
    if results[0].measure == "loss":
        yield from text_lines(f"without it the loss is {results[0].before:.4f}", width, "quiet")
    yield Text("")
    yield from _map_lines(by_layer(results), width)
    yield Text("")
    yield from _table_lines(results, width)
    idle = sum(not one.changed for one in results)
    if idle:
        yield from text_lines(f"in {idle} heads the operation changed nothing on this text", width, "quiet")
    yield from text_lines(f"{folder}: records.jsonl, heads.csv, heads.png", width, "quiet")


def _map_lines(rows: Mapping[str, Mapping[int, float]], width: int) -> Iterator[Text]:
    """Yield one line for each layer; shades say how much a head is missed, a minus that the text does better."""
    largest = max(abs(change) for row in rows.values() for change in row.values())
    heads = sorted({head for row in rows.values() for head in row})
    room = max(len(layer) for layer in rows) + len("layer  ")
    cell = max((width - room) // len(heads), 1)
    cell = 8 if cell >= 8 else 3 if cell >= 3 else 1
    if cell > 1:
        numbers = "".join(f"{head:>{cell - 1}} " for head in heads)
        yield Text(shortened(f"{'':<{room}}{numbers}", width), "quiet")
    for layer, row in rows.items():
        line = Text(fit(f"layer {layer}", room), "quiet")
        for head in heads[: max((width - room) // cell, 1)]:
            line.append_text(_cell(row.get(head), largest, cell))
        yield line


def _cell(change: float | None, largest: float, cell: int) -> Text:
    if change is None:
        return Text(" " * cell)
    character, style = shade(abs(change), largest)
    style = "less" if change < 0 else style
    if cell == 8:
        return Text.assemble((f"{change:>+6.3f}", ""), (character, style), " ")
    sign = "−" if change < 0 and character != " " else " "
    return Text(f"{sign}{character}{' ' * (cell - 2)}" if cell > 1 else character, style)


def _table_lines(results: Sequence[HeadResult], width: int) -> Iterator[Text]:
    yield Text(shortened(f"{'most missed':<24}{'before':>10}{'after':>10}{'change':>10}", width), "quiet")
    ranked = sorted(results, key=lambda one: one.change, reverse=True)
    for one in ranked[:_MOST_ROWS]:
        place = f"layer {one.layer}, head {one.head}"
        yield Text(shortened(f"{place:<24}{one.before:>10.4f}{one.after:>10.4f}{one.change:>+10.4f}", width))


def as_json_text(results: Sequence[HeadResult], model: str, fault: str, folder: Path) -> str:
    """Return everything for machines; a number that is not finite is a string."""
    rows = [
        {
            name: str(value) if value in (float("inf"), float("-inf")) or value != value else value
            for name, value in {**vars(one), "change": one.change}.items()
        }
        for one in results
    ]
    document = {"format": _FORMAT, "version": _VERSION, "model": model, "fault": fault, "folder": str(folder)}
    return json.dumps(document | {"unit": unit_of(results[0].measure), "heads": rows}, allow_nan=False)
