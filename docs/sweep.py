"""Print what a sweep shows, but for the folders, whose names carry the time: `python -m docs.sweep`."""

import tempfile
from pathlib import Path

from attention_surgeon.cli.experiment_run import run_screen
from attention_surgeon.experiments import find_run, sweep

COMMAND = "surgeon experiment run growth --sweep d_k=16,64,256 --seeds 4"


def main() -> None:
    """Run the sweep of `COMMAND` and print its screen up to the figures."""
    with tempfile.TemporaryDirectory() as folder:
        sweep("growth", {"d_k": [16, 64, 256]}, seeds=4, out=Path(folder))
        lines = [line.plain.rstrip() for line in run_screen(find_run("growth-sweep", Path(folder)), 80)]
    print(f"```text\n$ {COMMAND}", *lines[: lines.index("figures") - 1], "```", sep="\n")


if __name__ == "__main__":
    main()
