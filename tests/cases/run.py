"""Judge folders of cases as `surgeon diagnose FILE:NAME` does, and compare with what each file says of itself.

    python -m tests.cases.run                                every case
    python -m tests.cases.run tests/cases/modern rope        those of a folder or file whose name holds one of the words
    python -m tests.cases.run --json FILE --seconds 20       also as JSON; so many seconds a file
    python -m tests.cases.run --every 3                      every right case, and each third of the wrong ones

The first line of a case is its verdict: `# RIGHT: ... Object: NAME`, `# WRONG kind: ... Object: NAME`, or
`# WRONG kind + kind: ...` for two mistakes.
Exit code 1 where a file is not judged so and `exceptions.toml` gives no reason.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import re
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.file import diagnose_file

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_NO_TIME = ("was stopped after", "did not end")
_FIRST_LINE = re.compile(
    r"# (?P<verdict>RIGHT|WRONG)(?P<kinds>[^:(]*)[:(].*?"
    r"(Object: (?P<object>\w+)|Command, in (?P<folder>\w+): diagnose (?P<target>\S+))$"
)


class Case(NamedTuple):
    """One file, the target in it, the folder that the command runs in, and the verdicts that are true of it."""

    file: Path
    target: str
    folder: Path
    verdicts: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.file.relative_to(HERE)) if self.file.is_relative_to(HERE) else str(self.file)

    @property
    def expected(self) -> str:
        return " + ".join(self.kinds) or self.verdicts[0]


class Judged(NamedTuple):
    """What the command said of a case; `verdict` is `crashed` where it printed no answer."""

    case: Case
    verdict: str
    names: tuple[str, ...]
    reason: str
    seconds: float

    @property
    def agrees(self) -> bool:
        return self.verdict in self.case.verdicts

    @property
    def out_of_time(self) -> bool:
        """The limit counts seconds of the clock, so a busy machine is not told from a slow judge."""
        return self.verdict != "wrong" and any(words in self.reason for words in _NO_TIME)

    def as_dict(self) -> dict[str, object]:
        case = self.case
        said = {"file": case.name, "expected": case.verdicts[0], "kinds": case.kinds, "verdict": self.verdict}
        return said | {"names": self.names, "reason": self.reason, "seconds": self.seconds, "agrees": self.agrees}


def read_case(file: Path) -> Case | None:
    """Return what the first line of a file says, None where it says nothing; reports are named in `reports.toml`."""
    line = file.read_text(encoding="utf-8").partition("\n")[0]
    if file.parent == HERE / "reports":
        line = _reports().get(file.name, "")
    found = _FIRST_LINE.match(line)
    if found is None:
        return None
    kinds = tuple(kind.strip() for kind in found["kinds"].split("+") if kind.strip())
    verdicts = (found["verdict"].lower(),)
    if "not softmax attention" in line:  # no mistake, and nothing that a contract of softmax attention can confirm
        verdicts = ("unjudged", "right")
    if found["folder"]:
        return Case(file, found["target"], HERE / found["folder"], verdicts, kinds)
    return Case(file, f"{file.resolve()}:{found['object']}", file.parent, verdicts, kinds)


def find_cases(arguments: Sequence[str]) -> list[Case]:
    """Return the cases of the files and folders among the arguments whose name holds one of the words."""
    places = [Path(text).resolve() for text in arguments if Path(text).exists()] or [HERE]
    words = [text for text in arguments if not Path(text).exists()]
    files = sorted({file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])})
    cases = [case for file in files if (case := read_case(file))]
    return [case for case in cases if not words or any(word in case.name for word in words)]


def judge(case: Case, seconds: float) -> Judged:
    """Judge one case as `surgeon diagnose FILE:NAME` does, in a child of this process, which has torch loaded."""
    start = time.perf_counter()
    with contextlib.chdir(case.folder):
        found = diagnose_file(case.target, limits=Limits(seconds=seconds))
    verdict = "crashed" if found.ended == "crashed" else found.diagnosis.verdict
    names = tuple(found.diagnosis.names) if verdict == "wrong" else ()
    return Judged(case, verdict, names, found.diagnosis.reason, round(time.perf_counter() - start, 1))


def count(found: Sequence[Judged]) -> dict[str, int]:
    """Return the figures that the judge is measured by."""
    right = [each for each in found if "right" in each.case.verdicts]
    wrong = [each for each in found if "wrong" in each.case.verdicts]
    return {
        "right cases": len(right),
        "right accepted": sum(each.agrees for each in right),
        "false WRONG": sum(each.verdict == "wrong" for each in right),
        "right unjudged": sum(not each.agrees and each.verdict != "wrong" for each in right),
        "wrong cases": len(wrong),
        "wrong rejected": sum(each.agrees for each in wrong),
        "single faults": sum(len(each.case.kinds) == 1 for each in wrong),
        "single faults named": sum(len(each.case.kinds) == 1 and bool(each.names) for each in wrong),
        "double faults": sum(len(each.case.kinds) > 1 for each in wrong),
        "double faults named": sum(len(each.case.kinds) > 1 and len(each.names) > 1 for each in wrong),
        "wrong accepted": sum(each.verdict == "right" for each in wrong),
        "wrong unjudged": sum(each.verdict not in ("right", "wrong") for each in wrong),
        "out of time": sum(each.out_of_time for each in found),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the cases, print the table and the figures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases.run", description="Judge cases, and compare.")
    parser.add_argument("where", nargs="*", help="folders, files, or words that a name holds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a file may take")
    parser.add_argument("--processes", type=int, default=2, help="so many at a time")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the wrong ones only each Nth")
    given = parser.parse_args(arguments)
    cases = find_cases(given.where)
    left_out = {case for n, case in enumerate(c for c in cases if "right" not in c.verdicts) if n % given.every}
    cases = [case for case in cases if case not in left_out]
    if not cases:
        parser.error(f"no case in {', '.join(given.where)}, expected a folder, a file or a part of a name.")
    console = Console(width=200)
    excused = tomllib.loads((HERE / "exceptions.toml").read_text(encoding="utf-8"))
    found = []
    for each in _judge_all(cases, given.seconds, given.processes):
        found.append(each)
        console.print(_progress(each), highlight=False, markup=False)
        if given.json:
            given.json.write_text(_document(found), encoding="utf-8")
    console.print(_table(found, excused))
    for name, figure in count(found).items():
        console.print(f"{figure:5} {name}", highlight=False)
    return int(any(not each.agrees and each.case.name not in excused for each in found))


def _reports() -> dict[str, str]:
    return tomllib.loads((HERE / "reports.toml").read_text(encoding="utf-8"))


def _judge_all(cases: Sequence[Case], seconds: float, processes: int) -> Iterator[Judged]:
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(judge, cases, itertools.repeat(seconds))


def _progress(each: Judged) -> str:
    names = f" ({', '.join(each.names)})" if each.names else ""
    return f"{'ok ' if each.agrees else 'NOT'} {each.seconds:5.1f} s {each.case.name}: {each.verdict}{names}"


def _document(found: Sequence[Judged]) -> str:
    return json.dumps({"counts": count(found), "cases": [each.as_dict() for each in found]}, indent=1)


def _table(found: Sequence[Judged], excused: dict[str, str]) -> Table:
    table = Table("file", "expected", "verdict", "names", "seconds", "agrees", box=None)
    for each in found:
        agrees = "yes" if each.agrees else f"no: {excused.get(each.case.name, 'NOT EXPECTED')}"
        row = (each.case.name, each.case.expected, each.verdict, " + ".join(each.names), f"{each.seconds:.1f}", agrees)
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
