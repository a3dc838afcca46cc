"""Plant one bug at a time in a copy of the package and see whether the tests of its room notice.

    python -m tests.mutants                 all of them
    python -m tests.mutants softmax mask    those whose name or file holds one of these words
    python -m tests.mutants --markdown      all of them, and at the end a table for the documentation

Exit code 1 if a bug survives, 2 if the tests fail without one.
"""

import contextlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import pytest
import torch  # the slow import; every forked child finds it done
from rich.console import Console
from rich.progress import Progress

from tests.mutants import ALL_BUGS
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "attention_surgeon"


class Outcome(NamedTuple):
    """What became of one bug; `killer` is the first test that failed, None if none did."""

    mutant: Mutant
    killer: str | None
    seconds: float


class FirstFailure:
    """A pytest plugin that remembers which test failed first."""

    def __init__(self) -> None:
        self.name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.name is None:
            self.name = f"{report.nodeid} (import)"


def run_tests(package: Path, room: str) -> str | None:
    """Run the tests of one room against the package in `package`; return the first that fails."""
    sys.path.insert(0, str(package))
    os.environ["PYTHONPATH"] = str(package)  # for the programs that the tests start
    os.environ["XDG_CACHE_HOME"] = str(package / "cache")  # where C with a bug in it is compiled to
    os.chdir(ROOT)
    torch.set_num_threads(1)
    plugin = FirstFailure()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main(
            [
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "--hypothesis-profile=mutants",
                f"tests/{room}",
                "tests/test_messages.py",
            ],
            plugins=[plugin],
        )
    return plugin.name or (None if code == 0 else f"pytest exit code {code}")


def try_mutant(mutant: Mutant) -> Outcome:
    """Plant one bug in a fresh copy of the package and run its room's tests."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        target = copy / mutant.file
        target.write_text(mutant.plant(target.read_text()) if mutant.before else target.read_text())
        killer = run_tests(copy.parent, mutant.room)
    return Outcome(mutant, killer, time.perf_counter() - start)


def outcomes(mutants: list[Mutant]) -> Iterator[Outcome]:
    """Try all of them, as many at once as there are cores."""
    with ThreadPool(os.cpu_count()) as pool:
        yield from pool.imap(_in_a_child, mutants)


def _in_a_child(mutant: Mutant) -> Outcome:
    """Try one in a child process that may have children itself, which those of a pool of processes may not."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: sender.send(try_mutant(mutant)), daemon=False)
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return Outcome(mutant, "the tests ended without a verdict", 0.0)
    finally:
        child.join()


def healthy_rooms(mutants: list[Mutant]) -> list[Outcome]:
    """Run each room's tests on an untouched copy: a test that fails there kills nothing."""
    rooms = sorted({mutant.room for mutant in mutants})
    return list(outcomes([Mutant("no bug", f"{room}/__init__.py", "", "") for room in rooms]))


def markdown(results: list[Outcome]) -> str:
    """Return the results as one table, and a sentence that counts them."""
    survivors = sum(outcome.killer is None for outcome in results)
    lines = [
        f"{len(results)} bugs planted, {len(results) - survivors} killed, {survivors} survived.",
        "",
        "| file | bug | noticed first by |",
        "|---|---|---|",
    ]
    for mutant, killer, _ in results:
        noticed = f"`{killer.replace('|', '/')}`" if killer else "**nobody**"
        lines.append(f"| `{mutant.file}` | {mutant.name} | {noticed} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Plant the bugs that the arguments name and return the exit code."""
    words = [argument for argument in arguments if argument != "--markdown"]
    console = Console(stderr="--markdown" in arguments)
    mutants = [m for m in ALL_BUGS if not words or any(word in f"{m.name} {m.file}" for word in words)]
    broken = [outcome for outcome in healthy_rooms(mutants) if outcome.killer]
    for outcome in broken:
        console.print(f"[red]without any bug[/], tests/{outcome.mutant.room} fails: {outcome.killer}")
    if broken:
        return 2
    results = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("planting bugs", total=len(mutants))
        for outcome in outcomes(mutants):
            results.append(outcome)
            progress.advance(task)
            verdict = f"killed by {outcome.killer}" if outcome.killer else "SURVIVED"
            line = f"{outcome.mutant.file:<22} {outcome.mutant.name:<42} {verdict}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    survivors = [outcome for outcome in results if not outcome.killer]
    console.print(f"{len(results)} bugs planted, {len(results) - len(survivors)} killed, {len(survivors)} survived")
    if "--markdown" in arguments:
        print(markdown(results))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
