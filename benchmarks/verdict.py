"""From saving a file to reading the verdict: in a warm `surgeon watch`, from a cold `surgeon check`, from plain pytest.

    python -m benchmarks.verdict               a table on the screen
    python -m benchmarks.verdict --markdown    the same for a document

"watch" is the time from writing the file to the first byte of the window with the new verdict, in a terminal of its
own; right and wrong versions alternate, all different, and the first ones, while the tables are being prepared, are
left out. The budgets: 200 ms for functions, 500 ms for modules. "check" and "pytest" are whole processes.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from attention_surgeon.course import Course, Exercise, load_course
from attention_surgeon.course.objects import digest
from attention_surgeon.course.start import start_workspace
from benchmarks.rows import OURS, Row, rows_of
from benchmarks.side_by_side import Timing, Work, alternate

SURGEON = [sys.executable, "-c", "from attention_surgeon.cli import main; main()"]
NUM_SAVES, NUM_COLD = 15, 3
_PREPARED = 25.0  # seconds for the tables of one contract on a busy machine
_LONGEST = 60.0


@dataclass(frozen=True)
class Subject:
    """An exercise, a mistake that is put into its solution, and its budget in seconds."""

    exercise: str
    before: str
    after: str
    budget: float


SUBJECTS = (
    Subject("chapter01.similarity", "return Q @", "return 2 * Q @", 0.2),
    Subject("chapter01.attention", " / np.sqrt(d_k)", "", 0.2),
    Subject("project04.attention", "scores / Q.shape[-1] ** 0.5", "scores", 0.2),
    Subject("basics.attention", "dim=-1", "dim=-2", 0.5),
    Subject("lab1.multihead", "gathered.transpose(1, 2).reshape", "gathered.reshape", 0.5),
)


class Watching:
    """A running `surgeon watch`, of which only the bytes are looked at."""

    def __init__(self, exercise: str, folder: Path) -> None:
        """Start it; `first` is how long the first screen took."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [*SURGEON, "watch", exercise],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(slave)
        self._seen = b""
        self.wait_for(b"q quit")
        self.first = time.perf_counter() - begun

    def wait_for(self, text: bytes) -> None:
        """Read until a text has come."""
        deadline = time.monotonic() + _LONGEST
        while text not in self._seen:
            assert time.monotonic() < deadline, f"{text!r} did not come"
            if select.select([self._master], [], [], 0.5)[0]:
                self._seen += os.read(self._master, 65536)
        self._seen = b""

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        os.close(self._master)


def saves(course: Course, subject: Subject, folder: Path) -> tuple[list[float], float]:
    """Return the seconds of each save, and of the first screen."""
    exercise = course.exercise(subject.exercise)
    right = (exercise.content / exercise.solution).read_text(encoding="utf-8")
    assert subject.before in right, f"{subject.exercise}: its solution has changed; change the benchmark too"
    wrong = right.replace(subject.before, subject.after)
    file = folder / exercise.path
    file.write_text(wrong, encoding="utf-8")
    watching = Watching(subject.exercise, folder)
    try:
        watching.wait_for(digest(wrong.encode())[:8].encode())
        time.sleep(_PREPARED if exercise.check is None else 5.0)
        return [_save(watching, file, f"{(right, wrong)[n % 2]}\n# {n}\n") for n in range(NUM_SAVES)], watching.first
    finally:
        watching.close()


def _save(watching: Watching, file: Path, text: str) -> float:
    time.sleep(0.3)  # nobody saves faster
    begun = time.perf_counter()
    file.write_text(text, encoding="utf-8")
    watching.wait_for(digest(text.encode())[:8].encode())
    return time.perf_counter() - begun


def whole_processes(subject: Subject, exercise: Exercise, folder: Path) -> dict[str, Timing]:
    """Return how long "check" and plain "pytest" take, by turns."""
    commands = {
        "check": ([*SURGEON, "check", subject.exercise], folder),
        "pytest": (_pytest(exercise), folder / exercise.folder),
    }
    return alternate({name: _process(*command) for name, command in commands.items()}, turns=NUM_COLD, warm_up=0)


def _process(command: list[str], folder: Path) -> Work:
    return lambda: subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST, check=False)


def measured(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, dict[str, Timing]]]:
    """Yield for each subject the times of "watch", its "first screen", "check" and "pytest"."""
    course = load_course()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_workspace(folder)
        for subject in subjects:
            warm, first = saves(course, subject, folder)
            cold = whole_processes(subject, course.exercise(subject.exercise), folder)
            yield subject, {"watch": Timing(tuple(warm)), "first screen": Timing((first,)), **cold}


def measure() -> Iterator[tuple[str, ...]]:
    """Yield the cells of a row for each subject."""
    for subject, times in measured(SUBJECTS):
        warm = times["watch"]
        yield (
            subject.exercise,
            f"{1000 * warm.median:.0f} ms",
            f"{1000 * max(warm.taken):.0f} ms",
            f"{1000 * subject.budget:.0f} ms",
            "kept" if warm.median <= subject.budget else "MISSED",
            f"{times['first screen'].median:.2f} s",
            f"{times['check'].median:.1f} s",
            f"{times['pytest'].median:.1f} s",
        )


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield rows for the table of speeds, of one function and one module; a quick run has the function alone."""
    for subject, times in measured((SUBJECTS[1],) if is_quick else (SUBJECTS[1], SUBJECTS[3])):
        notes = {OURS: f"budget {1000 * subject.budget:.0f} ms"}
        watch = {OURS: times["watch"]}
        yield from rows_of("from saving to the verdict in surgeon watch", None, subject.exercise, watch, notes=notes)
        cold = {OURS: times["check"], "pytest": times["pytest"]}
        yield from rows_of("surgeon check, cold", None, subject.exercise, cold)


def _pytest(exercise: Exercise) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", exercise.tests]


HEADINGS = ("exercise", "watch, median", "slowest", "budget", "", "first screen", "check, cold", "pytest")


def main() -> int:
    """Measure, print the table, and return 1 if a budget was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    is_markdown = parser.parse_args().markdown
    rows = list(measure())
    if is_markdown:
        for row in (HEADINGS, ["---"] * len(HEADINGS), *rows):
            print("| " + " | ".join(row) + " |")
    else:
        table = Table(*HEADINGS)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    return 1 if any("MISSED" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
