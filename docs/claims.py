"""Run every experiment that a claim of the course rests on, and print the ledger: `python -m docs.claims`.

Runs with the same settings and versions that lie in `runs/` are read, not made again.
"""

from pathlib import Path

from attention_surgeon.experiments import Bench, SavedRun, experiment_named
from attention_surgeon.experiments.claims import LEDGER, claims_table
from attention_surgeon.experiments.runs import begin_run, finished_run, run_saved

RUNS = Path("runs")


def measured(name: str) -> SavedRun:
    """Return a finished run of an experiment with its full settings."""
    experiment = experiment_named(name)
    config = experiment.make_config()
    made = finished_run(experiment, config, RUNS)
    if made is not None:
        return made
    folder = begin_run(experiment, config, RUNS, f"surgeon experiment run {name}")
    return run_saved(experiment, config, folder, Bench(folder))


def main() -> None:
    """Print the ledger as Markdown."""
    names = dict.fromkeys(claim.experiment for claim in LEDGER if claim.experiment)
    print(claims_table({name: measured(name) for name in names}))


if __name__ == "__main__":
    main()
