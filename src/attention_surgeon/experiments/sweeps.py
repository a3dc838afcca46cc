"""Sweeps: one experiment over many settings and seeds, each combination a run of its own, made wherever there is room.

The runs lie in `runs/points`, each in a folder named by what it is made from, so that none is made or counted twice:
not by a second sweep that shares some, not when a sweep is stopped and begun again, not when a worker is lost and
another one does its work once more.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from attention_surgeon.errors import SurgeonError
from attention_surgeon.experiments.backends import Backend, Workers
from attention_surgeon.experiments.backends_by_name import open_workers
from attention_surgeon.experiments.bench import Bench, Progress
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.registry import experiment_named
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.runs import begin_run, run_saved
from attention_surgeon.experiments.sweep_config import SUFFIX, Point, SweepConfig, plan_sweep, value_text
from attention_surgeon.experiments.sweep_figures import draw_sweep
from attention_surgeon.experiments.sweep_points import Measured, PointStore
from attention_surgeon.experiments.sweep_summary import all_rows, summarise, tell_sweep

_MOST_ROWS = 16
_MOST_FAILURES = 3


def sweep(
    name: str,
    axes: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    is_quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    backend: Backend | None = None,
    out: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """Run an experiment for every combination of values and every seed, and return means and spreads.

    Args:
        name: The experiment.
        axes: Values by setting; several give their product. `language.num_steps` reaches into a group, and `d_k` is
            one value of a setting called `d_k_values`.
        seeds: How many, from the seed in `settings` (0 if there is none) upwards.
        is_quick: Whether to begin with the quick settings.
        settings: Those that are not swept, by name.
        backend: Where to work; None: on all cores of this machine.
        out: Where the sweep and its points are kept, and points found that need not be made again; None: nowhere.
        on_progress: Called whenever a point is done.
        on_note: Called with a sentence when something is worth knowing, such as a worker that was lost.

    Returns:
        One record for each combination and row of the experiment: the swept values, what names the row, `seeds`, and
        each measure as mean and standard deviation (`<name>_std`). Tables: `points` (folder, values and seed of every
        run) and `measurements` (every row of every run).

    Raises:
        OptionError, ArgumentTypeError: what is wrong with the settings or the backend, before anything is begun.
        LoadError, ClusterError: a backend that is not installed, not there, or lost; what is done is kept in `out`.
        SurgeonError: a point that cannot be made; all others are, before that is said.

    >>> result = sweep("growth", {"d_k": [16, 64]}, seeds=3, settings={"num_draws": 100}, backend=Backend(num_jobs=1))
    >>> [(row["d_k"], row["seeds"], round(row["over_root"])) for row in result.records if row["drawn"] == "normal"]
    [(16, 3, 1), (64, 3, 1)]
    """
    config = plan_sweep(name, axes, num_seeds=seeds, is_quick=is_quick, settings=settings)
    bench = Bench(None, on_progress, on_note)
    with open_workers(backend or Backend(), on_note) as workers:
        if out is None:
            with tempfile.TemporaryDirectory() as folder:
                return Sweep(Path(folder), workers).run(config, bench)
        made = sweep_experiment(config.experiment, Sweep(out, workers))
        folder = begin_run(made, config, out, config.command)
        saved = run_saved(made, config, folder, bench)
        return Result(saved.name, as_plain(config), saved.records, saved.verdict, saved.tables)


def sweep_experiment(name: str, sweep_there: "Sweep") -> Experiment:
    """Return the sweep of an experiment as an experiment itself, so that it is run, kept and resumed like one."""
    swept = experiment_named(name)
    return Experiment(
        name=name + SUFFIX,
        question=swept.question,
        config=SweepConfig,
        run=sweep_there.run,
        quick={},
        seconds=swept.seconds,
    )


@final
@dataclass(frozen=True)
class Sweep:
    """How a sweep is run: who makes its points, and where they are kept.

    Attributes:
        root: Where the runs are kept.
        workers: Who makes the points.
    """

    root: Path
    workers: Workers

    def run(self, config: SweepConfig, bench: Bench) -> Result:
        """Make the points that are not there yet and return all of them as one table.

        Raises:
            SurgeonError: as `sweep`.
        """
        store = PointStore(self.root, self.workers.versions)
        points = {store.name(point): point for point in config.points()}
        missing = {name: point for name, point in points.items() if store.find(point) is None}
        if len(missing) < len(points):
            bench.on_note(f"{len(points) - len(missing)} of {len(points)} points are there already")
        self._make(missing, store, bench)
        return _result(config, points, store)

    def _make(self, missing: Mapping[str, Point], store: PointStore, bench: Bench) -> None:
        row_of = _rows(missing)
        totals = Counter(row_of.values())
        bench.plan(totals)
        done = Counter[str]()
        failures: dict[str, SurgeonError] = {}
        if not missing:
            return
        for name, outcome in self.workers.measure(missing):
            if isinstance(outcome, Measured):
                store.keep(missing[name], outcome)
            else:
                failures[name] = outcome
            row = row_of[name]
            done[row] += 1
            bench.tell(row, done[row], totals[row])
        if failures:
            raise _failure({str(missing[name]): error for name, error in failures.items()}, len(missing))


def _result(config: SweepConfig, points: Mapping[str, Point], store: PointStore) -> Result:
    runs = [(point.swept, point.config.seed, store.load(point).records) for point in points.values()]
    rows = all_rows(runs)
    names = [name for name, _ in config.axes]
    records = tuple(summarise(rows, names, experiment_named(config.experiment).measures))
    tables = {
        "points": tuple(
            {"point": name, **{key: value_text(value) for key, value in point.swept.items()}, "seed": point.config.seed}
            for name, point in points.items()
        ),
        "measurements": tuple(rows),
    }
    title = f"{config.experiment}, {config.num_seeds} seeds"
    verdict = tell_sweep(records, len(points), config.num_seeds)
    return Result(config.experiment + SUFFIX, as_plain(config), records, verdict, tables, draw_sweep(records, title))


def _rows(points: Mapping[str, Point]) -> dict[str, str]:
    """Return the row of the live table that each point belongs to: one for each value of the first swept setting."""
    rows = {name: _first_value(point) for name, point in points.items()}
    return rows if len(set(rows.values())) <= _MOST_ROWS else dict.fromkeys(points, "points")


def _first_value(point: Point) -> str:
    return next((f"{name} {value_text(value)}" for name, value in point.swept.items()), "points")


def _failure(failures: Mapping[str, SurgeonError], num_points: int) -> SurgeonError:
    """Return one error for all points that cannot be made, of the kind that the first gave."""
    told = "; ".join(f"{point}: {error}" for point, error in list(failures.items())[:_MOST_FAILURES])
    more = f" (and {len(failures) - _MOST_FAILURES} more)" if len(failures) > _MOST_FAILURES else ""
    first = next(iter(failures.values()))
    return type(first)(
        f"sweep: {len(failures)} of {num_points} points cannot be made, the others are kept. {told}{more}"
    )
