"""One table of speeds: ours and each peer, by turns in one run. `make bench` runs it.

    python -m benchmarks.table                     measure everything, store it, and print the table
    python -m benchmarks.table --quick             small sizes and few turns, in a minute or two; nothing is stored
    python -m benchmarks.table --only attention    one part (also: short, kernels, scan, start-up, diagnosis, verdict)
    python -m benchmarks.table --runs 3            the same in three processes one after the other, with the range
    python -m benchmarks.table --stored            print what is stored; docs/benchmarks.md shows that
    python -m benchmarks.table --headlines         the same, the lines for the README alone

A time is the median of the turns. What stands under a peer is its time and how many times as long ours took: below 1.00
ours is faster. "Extra memory" is by how much a call raises the memory of a fresh process, its result included. Under
three or more sizes of one kind stands how the cost grows with n, the slope of a line through the logarithms.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.layout import headlines, markdown
from benchmarks.rows import Row, Stored, combined

RESULTS = Path(__file__).parent / "results" / "table.json"
PARTS = {
    "attention": "benchmarks.attention",
    "short": "benchmarks.short",
    "kernels": "benchmarks.kernels",
    "scan": "benchmarks.scan",
    "start-up": "benchmarks.startup",
    "diagnosis": "benchmarks.diagnosis",
    "verdict": "benchmarks.verdict",
}
"""Which file measures which part: each has `rows(is_quick) -> Iterator[Row]`."""


def measure(part: str, is_quick: bool, console: Console) -> list[Row]:
    """Measure one part, with a line on the screen for each row that is there."""
    rows: Callable[[bool], Iterator[Row]] = import_module(PARTS[part]).rows
    found = []
    with console.status(part):
        for row in rows(is_quick):
            found.append(row)
            took = row.note if row.seconds is None else f"{row.seconds:.3g} s"
            console.print(f"{part}: {row.what}, {row.tokens or ''} {row.setting}: {row.who} {took}", highlight=False)
    return found


def machine() -> dict[str, object]:
    """Return what the numbers were taken on, and how busy it was before they were."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=list(PARTS), action="append", help="a part to measure or show; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few turns; nothing is stored")
    parser.add_argument("--runs", type=int, default=1, help="how many processes measure each part; the range is shown")
    parser.add_argument("--into", type=Path, default=RESULTS, help="the file that keeps what was measured")
    parser.add_argument("--stored", action="store_true", help="measure nothing, show what is stored")
    parser.add_argument("--headlines", action="store_true", help="show only what the README shows of it")
    options = parser.parse_args()
    stored = Stored() if options.quick else Stored.read(options.into)
    asked = [part for part in PARTS if part in (options.only or PARTS)]
    if options.headlines:
        print("\n".join(headlines(stored, asked)))
        return 0
    if not options.stored:
        if options.runs > 1:
            _measure_often(asked, options.runs, stored)
        else:
            _measure_all(asked, options.quick, stored, options.into)
    print("\n".join(markdown(stored, asked)))
    return 0


def _measure_often(parts: list[str], runs: int, stored: Stored) -> None:
    """Measure each part in several processes, and keep the median of each case and the range of its ratios."""
    for part in parts:
        found = []
        for _ in range(runs):
            with tempfile.NamedTemporaryFile(suffix=".json") as own:
                own.write(b"{}")
                own.flush()
                command = [sys.executable, "-m", "benchmarks.table", "--only", part, "--into", own.name]
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                found.append(Stored.read(Path(own.name)))
        stored.put(part, found[0].parts[part]["machine"], combined([each.rows(part) for each in found]))
        stored.write(RESULTS)


def _measure_all(parts: list[str], is_quick: bool, stored: Stored, into: Path) -> None:
    console = Console(stderr=True)
    for part in parts:
        if find_spec(PARTS[part]) is None:
            console.print(f"{part}: there is no {PARTS[part]}")
            continue
        before = machine()
        stored.put(part, before, measure(part, is_quick, console))
        if not is_quick:
            stored.write(into)  # part by part: what is measured is not lost


if __name__ == "__main__":
    sys.exit(main())
