import dataclasses
import json
from pathlib import Path

import pytest

from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.experiments import Bench, Experiment, Progress, experiment_named, find_run, load_run, runs
from attention_surgeon.experiments.runs import begin_run, list_runs, run_saved, unfinished_run
from tests.experiments.tiny import TINY, draw_one

APART = ("time.json",)


def run(name: str, root: Path, bench: Bench | None = None, **settings) -> Path:
    experiment = experiment_named(name)
    config = experiment.make_config(**{**TINY[name], **settings})
    folder = begin_run(experiment, config, root, f"surgeon experiment run {name}")
    run_saved(experiment, config, folder, bench or Bench(folder))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in APART)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["fills", "masking"])
def test_the_same_command_gives_the_same_bytes(name: str, tmp_path: Path):
    first, second = run(name, tmp_path), run(name, tmp_path)
    assert first != second
    assert contents(first) == contents(second)
    figures = {path.suffix for path in (first / "figures").iterdir()}
    assert figures == {".png", ".svg"}


def test_what_is_saved_is_what_was_found(tmp_path: Path):
    folder = run("masking", tmp_path)
    saved = load_run(folder)
    experiment = experiment_named("masking")
    result = experiment.run(experiment.make_config(**TINY["masking"]), Bench())
    assert saved.records == result.records
    assert saved.tables == result.tables
    assert saved.verdict == result.verdict
    assert saved.is_finished
    assert saved.config["text"].startswith("sha256:")
    assert json.loads(json.dumps(result.config)) == saved.config
    assert {path.stem for path in saved.figures} == set(result.figures)
    assert saved.versions["torch"]


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_one(monkeypatch)


class Stopped(Exception):
    pass


def stop_at(row: str, done: int):
    def tell(progress: Progress) -> None:
        if (progress.row, progress.done) == (row, done):
            raise Stopped

    return tell


@pytest.mark.parametrize(("name", "row", "done"), [("masking", "none", 4), ("scaling", "8 keys", 1)])
def test_a_stopped_run_goes_on_and_ends_the_same(
    name: str, row: str, done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if name == "scaling":
        draw_one(monkeypatch)  # the figures of the other one are drawn from what was kept, too
    experiment = experiment_named(name)
    config = experiment.make_config(**TINY[name])
    folder = begin_run(experiment, config, tmp_path, f"surgeon experiment run {name}")
    with pytest.raises(Stopped):
        run_saved(experiment, config, folder, Bench(folder, stop_at(row, done)))
    assert not load_run(folder).is_finished
    parts = {path.name: path.stat().st_mtime_ns for path in (folder / "parts").iterdir()}
    assert parts
    assert unfinished_run(experiment, config, tmp_path) == folder
    run_saved(experiment, config, folder, Bench(folder))
    assert parts.items() <= {path.name: path.stat().st_mtime_ns for path in (folder / "parts").iterdir()}.items()
    assert contents(folder) == contents(run(name, tmp_path))


@pytest.mark.parametrize("file", ["records.jsonl", "time.json", "verdict.txt"])
def test_a_disk_that_is_full_at_the_end_leaves_the_run_unfinished(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = experiment_named("fills")
    config = experiment.make_config(**TINY["fills"])
    folder = begin_run(experiment, config, tmp_path, "")
    write = runs.write_file

    def full(path: Path, content: str) -> None:
        if path.name == file:
            raise FileAccessError("cannot write: the disk is full; free some space and try again.")
        write(path, content)

    monkeypatch.setattr(runs, "write_file", full)
    with pytest.raises(FileAccessError, match="the disk is full"):
        run_saved(experiment, config, folder, Bench(folder))
    monkeypatch.undo()
    assert not load_run(folder).is_finished
    assert unfinished_run(experiment, config, tmp_path) == folder
    assert run_saved(experiment, config, folder, Bench(folder)).is_finished


def test_only_a_run_of_the_same_settings_is_gone_on_with(tmp_path: Path, one_figure: None):
    experiment = experiment_named("fills")
    config = experiment.make_config(**TINY["fills"])
    older = begin_run(experiment, config, tmp_path, "")
    newer = begin_run(experiment, config, tmp_path, "")
    begin_run(experiment, dataclasses.replace(config, seed=8), tmp_path, "")
    assert unfinished_run(experiment, config, tmp_path) == newer
    run_saved(experiment, config, newer, Bench(newer))
    assert unfinished_run(experiment, config, tmp_path) == older
    with pytest.raises(OptionError, match=r"no unfinished run of fills with these settings and versions in .*--resume"):
        unfinished_run(experiment, dataclasses.replace(config, seed=9), tmp_path)


def test_runs_are_found_by_folder_name_and_experiment(tmp_path: Path, one_figure: None):
    first, second, third = run("fills", tmp_path), run("fills", tmp_path), run("width", tmp_path)
    assert list_runs(tmp_path) == sorted([first, second, third])
    assert find_run(str(first), tmp_path).folder == first
    assert find_run(first.name, tmp_path).folder == first
    assert find_run("fills", tmp_path).folder == second
    with pytest.raises(FileAccessError, match=r"there is no run 'rank': the newest are .*-width"):
        find_run("rank", tmp_path)
    with pytest.raises(FileAccessError, match=r"none holds none"):
        find_run("rank", tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json is damaged: it is not JSON"),
        ("config.json", "[]", "config.json is damaged: it holds no settings"),
        ("config.json", '{"format": "attention_surgeon_run", "version": 9}', "is no run that this package can read"),
        ("records.jsonl", "{}\n{", "records.jsonl is damaged: a line is not JSON"),
    ],
)
def test_a_damaged_run_is_told(file: str, content: str, message: str, tmp_path: Path, one_figure: None):
    folder = run("fills", tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(FileFormatError, match=message):
        load_run(folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "runs").write_text("")
    experiment: Experiment = experiment_named("fills")
    with pytest.raises(FileAccessError, match="cannot make the folder"):
        begin_run(experiment, experiment.make_config(), tmp_path / "runs", "")


def test_a_bench_keeps_parts_and_a_damaged_one_is_told(tmp_path: Path):
    bench = Bench(tmp_path)
    assert bench.part("a/b c", lambda: {"x": (1, 2.5)}) == {"x": [1, 2.5]}
    assert bench.part("a/b c", lambda: "not asked again") == {"x": [1, 2.5]}
    (tmp_path / "parts" / "a_b_c.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"a_b_c\.json is damaged: .*; remove it and resume\."):
        bench.part("a/b c", lambda: 1)
