"""`surgeon experiment run NAME --sweep ... --seeds ...`: what is shown, what is kept, what is refused."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.experiment_run import run_screen
from attention_surgeon.experiments import find_run
from attention_surgeon.experiments.backends_joblib import JoblibWorkers
from attention_surgeon.experiments.sweep_config import Point
from attention_surgeon.experiments.sweep_points import Outcome, measure_point
from tests.cli.conftest import Surgeon

RUN = ["experiment", "run", "growth", "--quick", "--sweep", "d_k=4,64", "--seeds", "3", "--jobs", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sweep_shows_means_and_spreads_and_how_to_do_it_again(surgeon: Surgeon):
    ran = surgeon(*RUN)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("growth-sweep · How large do the scores q·k get")
    saved = find_run("growth-sweep", Path("runs"))
    row = next(row for row in saved.records if (row["d_k"], row["drawn"]) == (64, "normal"))
    shown = rf"^64 +normal +3 +{row['over_root']:.3f} ± {row['over_root_std']:.3f} "
    assert re.search(shown, ran.out, re.MULTILINE)
    assert lines[-1] == "  surgeon experiment run growth --quick --sweep d_k=4,64 --seeds 3"
    assert ran.err.splitlines() == ["6 runs, on this machine", "d_k 4: done", "d_k 64: done"]
    assert " ".join(saved.verdict.split()) in " ".join(ran.out.split())
    assert surgeon("experiment", "show", "growth-sweep").out == ran.out


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_but_paths_is_wider_than_the_window(columns: int, surgeon: Surgeon):
    surgeon(*RUN)
    lines = [line.plain.rstrip() for line in run_screen(find_run("growth-sweep", Path("runs")), columns)]
    assert not [line for line in lines if width_of(line) > columns and not re.match(r"  (runs|/|surgeon)", line)]


def test_two_sweeps_are_compared_and_a_point_is_shown(surgeon: Surgeon):
    surgeon(*RUN)
    surgeon(*RUN)
    first, second = sorted(Path("runs").glob("*-growth-sweep*"))
    same = surgeon("experiment", "compare", str(first), str(second))
    assert (same.code, "every measurement is the same" in same.out) == (0, True)
    point = find_run("growth-sweep", Path("runs")).tables["points"][2]["point"]
    assert "--seed 2 --set 'd_k_values=[4]'" in surgeon("experiment", "show", point).out


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    whole = JoblibWorkers.measure

    def interrupted(self: JoblibWorkers, points: Mapping[str, Point]) -> Iterator[tuple[str, Outcome]]:
        for name, point in list(points.items())[:2]:
            yield name, measure_point(point)
        raise KeyboardInterrupt

    monkeypatch.setattr(JoblibWorkers, "measure", interrupted)
    ran = surgeon(*RUN)
    assert ran.code == 130
    command = "surgeon experiment run growth --quick --sweep d_k=4,64 --seeds 3"
    assert f"what is done is kept in runs; go on with: {command} --resume\n" in ran.err
    assert "not finished: go on with" in surgeon("experiment", "show", "growth-sweep").out
    monkeypatch.setattr(JoblibWorkers, "measure", whole)
    resumed = surgeon(*RUN, "--resume")
    assert resumed.code == 0
    assert "2 of 6 points are there already\n" in resumed.err
    assert len(list(Path("runs").glob("*-growth-sweep*"))) == 1
    assert surgeon(*RUN, "--resume").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "d_kk=1"], "growth has no setting 'd_kk'; it has d_k_values, num_draws, seed."),
        (["--sweep", "d_k"], "--sweep d_k: expected NAME=VALUE,VALUE, such as --sweep d_k=16,64,256."),
        (["--sweep", "d_k="], "sweep: d_k has no values, expected at least one, such as d_k=16,64."),
        (["--sweep", "d_k=4,4"], "sweep: d_k has the value 4 twice; each is run once: give it once."),
        (["--sweep", "d_k=4", "--sweep", "d_k=5"], "--sweep d_k stands there twice; give all its values in one: "),
        (["--sweep", "d_k=four"], "growth: d_k is 'four', expected a whole number of at least 1."),
        (["--sweep", "num_draws=4,0"], "growth: num_draws is 0, expected a whole number of at least 2."),
        (["--seeds", "0"], "sweep: seeds is 0, expected a whole number of at least 1."),
        (["--seeds", "2", "--jobs", "0"], "sweep: jobs is 0, expected a whole number of at least 1."),
        (["--seeds", "2", "--backend", "dsk"], "sweep: there is no backend 'dsk'; there are local, dask, ray. Did"),
        (["--seeds", "2", "--backend", "dask"], "sweep: the backend dask needs the address of a cluster, such as tcp"),
        (["--seeds", "2", "--address", "tcp://x:1"], "sweep: the address tcp://x:1 is of a cluster, and the backend"),
        (["--jobs", "2"], "--jobs, --backend and --address are for sweeps: add --sweep NAME=VALUE,VALUE or --seeds N."),
        (["--seeds", "2", "--resume"], "no unfinished run of growth-sweep with these settings and versions in runs;"),
    ],
)
def test_wrong_calls_are_one_line(arguments: list[str], message: str, surgeon: Surgeon, own_messages: None):
    ran = surgeon("experiment", "run", "growth", *arguments)
    assert (ran.code, ran.out) == (2, "")
    told = (line for line in ran.err.splitlines() if not line.endswith("on this machine"))
    assert next(told).startswith(f"error: {message}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(("backend", "package"), [("dask", "attention-surgeon[cluster]"), ("ray", "ray")])
def test_a_package_that_is_not_installed(backend: str, package: str, surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    missing = {"dask": "distributed", "ray": "ray"}[backend]
    monkeypatch.setitem(sys.modules, missing, None)
    ran = surgeon("experiment", "run", "growth", "--seeds", "2", "--backend", backend, "--address", "tcp://x:1")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == (
        f"error: sweep: the backend {backend} needs the package {missing}, which is not installed; add it with: "
        f"pip install '{package}' (or uv pip install '{package}')."
    )
    assert not Path("runs").exists()
