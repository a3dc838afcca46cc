"""A sweep: every point once, in a folder of its own, with the same numbers wherever and however often it is made."""

import dataclasses
import json
import math
import pickle
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import final

import psutil
import pytest
import torch
from matplotlib.figure import Figure

from attention_surgeon.errors import ClusterError, FileAccessError, NonFiniteError, SurgeonError
from attention_surgeon.experiments import Backend, Bench, Progress, experiment_named, find_run, load_run, sweep
from attention_surgeon.experiments.backends import Workers
from attention_surgeon.experiments.result import Record
from attention_surgeon.experiments.runs import begin_run, run_saved
from attention_surgeon.experiments.sweep_config import Point, plan_sweep
from attention_surgeon.experiments.sweep_points import Measured, Outcome, PointStore, measure_point, worker_versions
from attention_surgeon.experiments.sweep_summary import all_rows, summarise
from attention_surgeon.experiments.sweeps import Sweep
from tests.experiments.tiny import TINY

HERE = Backend(num_jobs=1)
AXES = {"d_k": [4, 64], "num_draws": [7, 13]}
WIDER = {**AXES, "d_k": [4, 8, 64]}
ROOT = Path(__file__).parents[2]


def small(out: Path | None = None, **more):
    return sweep("growth", AXES, seeds=3, **{"backend": HERE, "out": out, **more})


def points(out: Path) -> dict[str, bytes]:
    """Return the content of every file of every point but the times; nothing half made may lie there."""
    assert not [path for path in (out / "points").iterdir() if path.name.startswith(".")]
    files = (path for path in (out / "points").rglob("*") if path.is_file() and path.name != "time.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    small(out)
    return out


def test_each_point_is_the_run_that_its_command_makes(made: Path, tmp_path: Path):
    saved = find_run("growth-sweep", made)
    assert Counter((row["d_k"], row["num_draws"], row["seed"]) for row in saved.tables["points"]) == Counter(
        (str(d_k), str(draws), seed) for d_k in (4, 64) for draws in (7, 13) for seed in range(3)
    )
    assert {row["point"] for row in saved.tables["points"]} == {path.name for path in (made / "points").iterdir()}
    row = saved.tables["points"][4]
    point = find_run(row["point"], made)
    assert point.command == "surgeon experiment run growth --seed 1 --set 'd_k_values=[4]' --set num_draws=13"
    growth = experiment_named("growth")
    config = growth.make_config(d_k_values=4, num_draws=13, seed=1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = begin_run(growth, config, tmp_path, point.command)
    run_saved(growth, config, folder, Bench())
    torch.set_num_threads(before)
    for name in ("config.json", "records.jsonl", "verdict.txt"):
        assert (folder / name).read_bytes() == (point.folder / name).read_bytes()


def test_a_point_draws_nothing_and_a_run_only_when_it_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    drawn: list[object] = []
    draw = "attention_surgeon.experiments.score_growth._draw_figure"
    monkeypatch.setattr(draw, lambda records: drawn.append(records) or Figure())
    growth = experiment_named("growth")
    config = growth.make_config(**TINY["growth"])
    measured = measure_point(Point("growth", config, {}))
    assert isinstance(measured, Measured)
    result = growth.run(config, Bench())
    assert drawn == []
    sent = pickle.loads(pickle.dumps(result))
    assert list(sent.figures) == list(result.figures) == ["growth"]
    assert len(drawn) == 1


def test_means_and_spreads_are_those_of_the_runs(made: Path):
    saved = find_run("growth-sweep", made)
    assert len(saved.records) == 2 * 2 * 4
    for row in saved.records:
        runs = [
            one
            for seed in range(3)
            for one in run_of(saved.tables["points"], made, row["d_k"], row["num_draws"], seed)
            if one["drawn"] == row["drawn"]
        ]
        values = [one["over_root"] for one in runs]
        assert row["seeds"] == len(values) == 3
        assert row["over_root"] == pytest.approx(sum(values) / 3, rel=1e-12)
        spread = math.sqrt(sum((value - sum(values) / 3) ** 2 for value in values) / 2)
        assert row["over_root_std"] == pytest.approx(spread, rel=1e-12)
    lowest, highest = (choose(row["over_root"] for row in saved.records) for choose in (min, max))
    assert f"over_root is lowest, {lowest:.4g} ±" in saved.verdict
    assert f"and highest, {highest:.4g} ±" in saved.verdict
    assert saved.verdict.startswith("12 runs, 3 of each combination of values.")
    assert [path.name for path in saved.figures] == ["sweep.png"]


def run_of(table, out: Path, d_k: int, num_draws: int, seed: int):
    wanted = {"d_k": str(d_k), "num_draws": str(num_draws), "seed": seed}
    (row,) = (row for row in table if wanted.items() <= row.items())
    return load_run(out / "points" / row["point"]).records


def test_a_second_sweep_makes_only_what_is_new(made: Path, tmp_path: Path):
    told: list[str] = []
    first = points(made)
    wider = sweep("growth", WIDER, seeds=3, backend=HERE, out=made, on_note=told.append)
    assert told == ["12 of 18 points are there already"]
    after = points(made)
    assert first.items() <= after.items()
    assert len(after) == len(first) * 18 // 12
    times = {path: path.stat().st_mtime_ns for path in (made / "points").iterdir()}
    again = sweep("growth", WIDER, seeds=3, backend=HERE, out=made)
    assert again == wider
    assert times == {path: path.stat().st_mtime_ns for path in (made / "points").iterdir()}
    assert sweep("growth", WIDER, seeds=3, backend=HERE) == wider


def test_two_processes_give_the_same_bytes_as_one_and_a_killed_one_is_replaced(made: Path, tmp_path: Path):
    told: list[str] = []
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        assert progress.done <= progress.total  # what is done is not given out again
        if progress.done == 1 and not killed:
            children = [p for p in psutil.Process().children(recursive=True) if "loky" in " ".join(p.cmdline())]
            workers = [p for p in children if "resource_tracker" not in " ".join(p.cmdline())]
            for worker in workers:  # one alone could be a leftover that nobody waits for
                killed.append(worker.pid)
                worker.kill()

    backend = Backend(num_jobs=2)
    result = small(tmp_path, backend=backend, on_progress=kill_one, on_note=told.append)
    assert killed
    assert [note for note in told if "a process was killed; the " in note]
    assert result == small()
    assert points(tmp_path) == {name: content for name, content in points(made).items() if name in points(tmp_path)}
    assert len(list((tmp_path / "points").iterdir())) == 12


@final
class Scripted(Workers):
    """Workers of a test: what comes back is what the function makes of the points."""

    def __init__(self, answer: Callable[[Mapping[str, Point]], Iterator[tuple[str, Outcome]]]) -> None:
        self._answer = answer

    @property
    def versions(self) -> Record:
        return worker_versions()

    def measure(self, points: Mapping[str, Point]) -> Iterator[tuple[str, Outcome]]:
        return self._answer(points)


def config(seeds: int = 2):
    return plan_sweep("growth", {"d_k": [4, 64]}, num_seeds=seeds, settings={"num_draws": 7})


def test_a_stopped_sweep_keeps_what_is_done(tmp_path: Path):
    def stopped(points: Mapping[str, Point]):
        for name, point in list(points.items())[:3]:
            yield name, measure_point(point)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sweep(tmp_path, Scripted(stopped)).run(config(), Bench())
    assert len(list((tmp_path / "points").iterdir())) == 3
    asked: list[str] = []

    def rest(points: Mapping[str, Point]):
        asked.extend(map(str, points.values()))
        for name, point in points.items():
            yield name, measure_point(point)

    Sweep(tmp_path, Scripted(rest)).run(config(), Bench())
    assert asked == ["d_k 64, seed 1"]


def test_a_point_that_is_made_twice_is_kept_and_counted_once(tmp_path: Path):
    point = next(config().points())
    store = PointStore(tmp_path, worker_versions())
    outcome = measure_point(point)
    assert not isinstance(outcome, SurgeonError)
    store.keep(point, outcome)
    stood = (tmp_path / "points" / store.name(point) / "time.json").stat().st_mtime_ns
    store.keep(point, dataclasses.replace(outcome, seconds=9.0))
    assert (tmp_path / "points" / store.name(point) / "time.json").stat().st_mtime_ns == stood
    assert [path.name for path in (tmp_path / "points").iterdir()] == [store.name(point)]


def test_a_point_works_on_one_core_and_leaves_the_others_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    outcome = measure_point(next(config().points()))
    assert not isinstance(outcome, SurgeonError)
    assert outcome.versions["threads"] == worker_versions()["threads"] == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_the_seeds_go_on_from_the_one_given():
    swept = plan_sweep("growth", {}, num_seeds=3, settings={"seed": 5})
    assert [point.config.seed for point in swept.points()] == [5, 6, 7]
    assert swept.command == "surgeon experiment run growth --seed 5 --seeds 3"


def test_points_of_other_settings_seeds_or_versions_have_other_names(tmp_path: Path):
    store = PointStore(tmp_path, worker_versions())
    names = [store.name(point) for point in config().points()]
    others = [store.name(point) for point in plan_sweep("growth", {"d_k": [4, 64]}, num_seeds=2).points()]
    newer = PointStore(tmp_path, {**worker_versions(), "torch": "9.9"})
    names += others + [newer.name(point) for point in config().points()]
    assert len(set(names)) == 12
    assert store.name(Point("growth", next(config().points()).config, {})) == names[0]


@pytest.mark.parametrize("damage", ["verdict.txt", "config.json", "records.jsonl"])
def test_a_damaged_point_is_made_again(damage: str, tmp_path: Path):
    whole = Sweep(tmp_path, Scripted(each)).run(config(), Bench())
    before = points(tmp_path)
    broken = sorted((tmp_path / "points").iterdir())[1]
    if damage == "verdict.txt":
        (broken / damage).unlink()
    else:
        (broken / damage).write_bytes((broken / damage).read_bytes()[:-9])
    told: list[str] = []
    assert Sweep(tmp_path, Scripted(each)).run(config(), Bench(on_note=told.append)) == whole
    assert told == ["3 of 4 points are there already"]
    assert points(tmp_path) == before


def test_a_point_with_other_settings_inside_is_made_again(tmp_path: Path):
    whole = Sweep(tmp_path, Scripted(each)).run(config(), Bench())
    before = points(tmp_path)
    folder = sorted((tmp_path / "points").iterdir())[0]
    described = json.loads((folder / "config.json").read_text())
    described["config"]["seed"] = 77
    (folder / "config.json").write_text(json.dumps(described))
    assert Sweep(tmp_path, Scripted(each)).run(config(), Bench()) == whole
    assert points(tmp_path) == before


def each(points: Mapping[str, Point]) -> Iterator[tuple[str, Outcome]]:
    for name, point in points.items():
        yield name, measure_point(point)


def test_a_full_disk_stops_it_and_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from attention_surgeon.experiments import runs

    write = runs.write_file

    def full(path: Path, content: str) -> None:
        if path.name == "verdict.txt" and len(list((tmp_path / "points").glob("growth-*"))) == 2:
            raise FileAccessError("cannot write: the disk is full; free some space and try again.")
        write(path, content)

    monkeypatch.setattr(runs, "write_file", full)
    with pytest.raises(FileAccessError, match="the disk is full"):
        Sweep(tmp_path, Scripted(each)).run(config(), Bench())
    assert len(points(tmp_path)) == 2 * 3


def test_points_that_cannot_be_made_are_named_and_the_others_are_kept(tmp_path: Path):
    settings = {**TINY["masking"]["language"].__dict__, "num_steps": 2}
    language = type(TINY["masking"]["language"])(**settings)
    with pytest.raises(NonFiniteError) as caught:
        sweep(
            "masking",
            {"language.learning_rate": [1e30, 0.01]},
            settings={**TINY["masking"], "num_written": 2, "language": language},
            backend=HERE,
            out=tmp_path,
        )
    assert str(caught.value).startswith(
        "sweep: 1 of 2 points cannot be made, the others are kept. language.learning_rate 1e+30, seed 0: "
        "training: the loss is nan at step 2;"
    )
    assert len(list((tmp_path / "points").iterdir())) == 1


def test_workers_with_other_versions_are_refused(tmp_path: Path):
    def stale(points: Mapping[str, Point]):
        for name, outcome in each(points):
            assert not isinstance(outcome, SurgeonError)
            yield name, dataclasses.replace(outcome, versions={**outcome.versions, "torch": "1.0"})

    with pytest.raises(ClusterError, match=r"^sweep: the worker that made d_k 4, seed 0 has torch 1\.0, not 2"):
        Sweep(tmp_path, Scripted(stale)).run(config(), Bench())
    assert not (tmp_path / "points").exists()


def test_progress_counts_what_is_to_be_done(tmp_path: Path):
    told: list[Progress] = []
    Sweep(tmp_path, Scripted(each)).run(config(), Bench(on_progress=told.append))
    assert [(p.row, p.done, p.total) for p in told] == [
        ("d_k 4", 0, 2), ("d_k 64", 0, 2), ("d_k 4", 1, 2), ("d_k 4", 2, 2), ("d_k 64", 1, 2), ("d_k 64", 2, 2),
    ]  # fmt: skip


def test_rows_by_hand():
    runs = [
        ({"x": value, "n": 4000}, seed, ({"n": 7, "kind": "a", "found": seed, "y": 1.0 + seed, "word": f"w{seed}"},))
        for value in ((1, 2), 3)
        for seed in (0, 2, 7)
    ]
    rows = all_rows(runs)
    assert rows[0] == {"x": "1,2", "n": 4000, "seed": 0, "row": 0, "n_of_row": 7, "kind": "a", "found": 0, "y": 1.0,
                       "word": "w0"}  # fmt: skip
    spread = statistics.stdev([0, 2, 7])
    expected = {"n": 4000, "n_of_row": 7, "kind": "a", "seeds": 3, "found": 3.0, "found_std": spread}
    expected |= {"y": 4.0, "y_std": spread}
    assert summarise(rows, ["x", "n"]) == [{"x": "1,2", **expected}, {"x": 3, **expected}]
    assert list(summarise(rows, ["x"], ["y"])[0])[-2:] == ["y", "y_std"]
    (one,) = summarise(all_rows([({}, 5, ({"y": 2.0, "z": None},))]), [])
    assert one == {"z": None, "seeds": 1, "y": 2.0, "y_std": None}


@pytest.mark.parametrize("name", TINY)
def test_every_experiment_can_be_tried_with_several_seeds(name: str):
    result = sweep(name, {}, seeds=2, settings=TINY[name], backend=HERE)
    assert {tuple(row) for row in result.records} == {tuple(result.records[0])}
    assert {row["seeds"] for row in result.records} == {2}
    assert not re.search(r"\bnan\b|None|\{", result.verdict)
    json.dumps(result.records, allow_nan=False)


def test_importing_the_package_and_its_experiments_loads_no_cluster():
    code = "import sys, attention_surgeon.experiments, attention_surgeon.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "attention_surgeon.experiments.sweeps" in loaded
    assert not {"joblib", "dask", "distributed", "ray"}.intersection(loaded)
