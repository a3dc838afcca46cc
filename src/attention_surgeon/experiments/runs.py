"""Runs on disk: one folder for each, with everything that is needed to read it, trust it and make it again.

    runs/20261103-141502-masking/
        config.json      experiment, settings, seed, versions, the command       \
        records.jsonl    the main measurements, one line each                     | the same bytes for the same
        TABLE.jsonl      further ones                                             | command on the same machine
        verdict.txt      what they say; written last                              |
        figures/         each as PNG and SVG                                     /
        time.json        when it was made and how long it took
        parts/, checkpoints/    what was finished on the way, for --resume
"""

import json
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import torch

import attention_surgeon
from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.experiments.bench import Bench, make_folder
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Record, Records, Result
from attention_surgeon.files import read_text, write_file
from attention_surgeon.plots import save_figure

VERSION = 1
POINTS = "points"
"""Below the runs, the folder with those that a sweep is made of."""
_DISTRIBUTIONS = ("torch", "numpy", "matplotlib", "safetensors")


@final
@dataclass(frozen=True)
class SavedRun:
    """A run as it lies on disk.

    Attributes:
        folder: Where.
        name: The experiment.
        config: The settings, as plain data.
        command: What makes the same again.
        versions: Of everything that had a part in the numbers.
        is_finished: Whether it came to its end.
        verdict: What was found; empty if unfinished.
        records: The main measurements.
        tables: Further ones by name.
        figures: The PNG files.
        started: When, as ISO 8601.
        seconds: How long it took, all sittings together; None if unfinished.
    """

    folder: Path
    name: str
    config: Record
    command: str
    versions: Record
    is_finished: bool
    verdict: str
    records: Records
    tables: dict[str, Records]
    figures: tuple[Path, ...]
    started: str
    seconds: float | None


def begin_run(experiment: Experiment, config: Any, root: Path, command: str) -> Path:
    """Make the folder of a new run under `root`, write its settings and return it.

    Raises:
        FileAccessError: the folder cannot be made.
    """
    now = datetime.now().astimezone()
    stem = f"{now:%Y%m%d-%H%M%S}-{experiment.name}"
    number = 1
    make_folder(root)
    while True:
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
        except OSError:
            make_folder(folder)  # says what is wrong
    write_start(folder, describe(experiment, config, command))
    return folder


def write_start(folder: Path, description: Record) -> None:
    """Write what is known of a run before it is made, as `describe` returns it.

    Raises:
        FileAccessError: it cannot be written.
    """
    now = datetime.now().astimezone()
    write_file(folder / "time.json", _json({"started": now.isoformat(timespec="seconds"), "seconds": None}))
    write_file(folder / "config.json", _json(description))


def finish_run(folder: Path, result: Result, seconds: float) -> None:
    """Write what was found; the verdict comes last and says that the rest is whole.

    Raises:
        FileAccessError: something cannot be written; the run then counts as unfinished and can be resumed.
    """
    for name, records in {"records": result.records, **result.tables}.items():
        write_file(folder / f"{name}.jsonl", "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in records))
    if result.figures:
        make_folder(folder / "figures")
    for name, figure in result.figures.items():
        for suffix in ("png", "svg"):
            save_figure(figure, folder / "figures" / f"{name}.{suffix}")
    started = _read_json(folder / "time.json")
    write_file(folder / "time.json", _json({**started, "seconds": round((started["seconds"] or 0) + seconds, 1)}))
    write_file(folder / "verdict.txt", f"{result.verdict}\n")


def run_saved(experiment: Experiment, config: Any, folder: Path, bench: Bench) -> SavedRun:
    """Run an experiment in the folder that `begin_run` made, or that an earlier sitting left unfinished.

    Raises:
        SurgeonError: as the experiment and `finish_run`.
    """
    begun = time.monotonic()
    result = experiment.run(config, bench)
    finish_run(folder, result, time.monotonic() - begun)
    return load_run(folder)


def unfinished_run(experiment: Experiment, config: Any, root: Path) -> Path:
    """Return the newest unfinished run with exactly these settings and versions.

    Raises:
        OptionError: there is none.
    """
    for folder in _runs_of(experiment, config, root):
        if not (folder / "verdict.txt").exists():
            return folder
    raise OptionError(
        f"no unfinished run of {experiment.name} with these settings and versions in {root}; "
        f"leave --resume away to begin one."
    )


def finished_run(experiment: Experiment, config: Any, root: Path) -> SavedRun | None:
    """Return the newest finished run with exactly these settings and versions, None if there is none."""
    for folder in _runs_of(experiment, config, root):
        if (folder / "verdict.txt").exists():
            return load_run(folder)
    return None


def _runs_of(experiment: Experiment, config: Any, root: Path) -> Iterator[Path]:
    """Yield the runs with exactly these settings and versions, the newest first."""
    wanted = describe(experiment, config, "")
    for folder in reversed(list_runs(root)):
        described = _read_json(folder / "config.json")
        if all(described.get(key) == wanted[key] for key in wanted if key != "command"):
            yield folder


def list_runs(root: Path) -> list[Path]:
    """Return the folders of all runs under `root`, the oldest first."""
    if not root.is_dir():
        return []
    return sorted(path.parent for path in root.glob("*/config.json"))


def find_run(wanted: str, root: Path) -> SavedRun:
    """Return a run by its folder, its name under `root`, or the newest of an experiment.

    Raises:
        FileAccessError: there is no such run; the text lists the newest ones.
        FileFormatError: the folder is no run, or damaged.
    """
    for folder in (Path(wanted), root / wanted, root / POINTS / wanted):
        if (folder / "config.json").is_file():
            return load_run(folder)
    runs = list_runs(root)
    named = [folder for folder in runs if _read_json(folder / "config.json").get("experiment") == wanted]
    if named:
        return load_run(named[-1])
    there = f"the newest are {', '.join(folder.name for folder in runs[-3:])}" if runs else f"{root} holds none"
    raise FileAccessError(f"there is no run {wanted!r}: {there}; a run is a folder, or the name of an experiment.")


def load_run(folder: Path) -> SavedRun:
    """Return what lies in the folder of a run.

    Raises:
        FileAccessError: a file cannot be read.
        FileFormatError: the folder is no run, or of a newer version, or damaged.
    """
    described = _read_json(folder / "config.json")
    if described.get("format") != "attention_surgeon_run" or described.get("version") != VERSION:
        raise FileFormatError(f"{folder} is no run that this package can read (version {VERSION}).")
    is_finished = (folder / "verdict.txt").exists()
    times = _read_json(folder / "time.json")
    tables = {path.stem: _read_lines(path) for path in sorted(folder.glob("*.jsonl"))} if is_finished else {}
    return SavedRun(
        folder,
        described["experiment"],
        described["config"],
        described["command"],
        described["versions"],
        is_finished,
        read_text(folder / "verdict.txt").rstrip("\n") if is_finished else "",
        tables.pop("records", ()),
        tables,
        tuple(sorted((folder / "figures").glob("*.png"))) if is_finished else (),
        times["started"],
        times["seconds"],
    )


def describe(experiment: Experiment, config: Any, command: str, versions: Record | None = None) -> dict[str, Any]:
    """Return what a run is known by: experiment, settings, seed, versions (None: those here), and the command."""
    described = {
        "format": "attention_surgeon_run",
        "version": VERSION,
        "experiment": experiment.name,
        "seed": config.seed,
        "config": as_plain(config),
        "versions": versions_here() if versions is None else versions,
        "command": command,
    }
    return json.loads(json.dumps(described))  # tuples become lists, as they will be when the file is read


def versions_here() -> dict[str, Any]:
    """Return the versions of everything in this process that has a part in the numbers."""
    return {
        "attention_surgeon": attention_surgeon.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _DISTRIBUTIONS},
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{path} is damaged: it is not JSON ({error}). Move its folder away; the run can be made again."
        ) from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} is damaged: it holds no settings.")
    return content


def _read_lines(path: Path) -> Records:
    try:
        return tuple(json.loads(line) for line in _lines(path))
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} is damaged: a line is not JSON ({error}).") from None


def _lines(path: Path) -> Iterable[str]:
    return (line for line in read_text(path).splitlines() if line)
