"""From the options of `surgeon sweep` to its folder: tasks, records that are kept, table and picture."""

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

from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.live import live_table
from attention_surgeon.cli.operate_run import text_of
from attention_surgeon.cli.sweep_screen import as_json_text, by_layer, sweep_lines, unit_of
from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.experiments import Backend, Progress
from attention_surgeon.files import file_access_error, write_in_folders
from attention_surgeon.surgery.loading import LoadedModel, load_model
from attention_surgeon.surgery.sweep import HeadResult, HeadTask, Try, plan_heads, sweep_heads, try_head, try_here

STOPPED = 130
_RECORDS, _TABLE, _PICTURE = "records.jsonl", "heads.csv", "heads.png"


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
    with backend.open(note) as workers:
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
