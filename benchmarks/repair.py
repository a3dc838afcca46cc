"""How many wrong implementations `surgeon fix` mends: measured once, kept as lines of JSON, shown as a table.

python -m benchmarks.repair --measure            every wrong implementation, one line each
python -m benchmarks.repair --measure --every 3  a third of them
python -m benchmarks.repair                      the table, from the lines that are there

A patch counts only if it is right on calls that neither the search nor its own check has used.
"""

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tests.implementations.reference
import tests.implementations.wrong  # noqa: F401 (fills WRONG)
from attention_surgeon.diagnose.child import Limits, run_in_child
from attention_surgeon.repair import Repair, fix_file
from attention_surgeon.repair.judge import Judge
from attention_surgeon.repair.workbench import load
from tests.implementations.implementation import WRONG

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "repair.jsonl"
SHORT = 3
DRAW = 1


@dataclass(frozen=True)
class Patient:
    """One wrong implementation: where it stands, what it is judged as, what is wrong."""

    target: str
    contract: str | None
    options: dict[str, object]
    faults: tuple[str, ...]


def patients(every: int = 1) -> Iterator[Patient]:
    named = [one for one in list(WRONG) if hasattr(one.target, "__qualname__")]
    for one in named[::every]:
        module = sys.modules[one.target.__module__]
        yield Patient(
            f"{module.__file__}:{one.target.__qualname__}", one.contract, dict(one.options), tuple(one.faults)
        )


def cases(folder: Path) -> Iterator[Patient]:
    """Yield the wrong files of a folder whose first line says what is wrong and which object is meant."""
    for file in sorted(folder.glob("wrong_*.py")):
        first, _, rest = file.read_text().partition("\n")
        name = first.rpartition("Object: ")[2].split()[0].rstrip(".") if "Object: " in first else ""
        if name and rest:
            yield Patient(f"{file}:{name}", None, {}, (first.split()[2].rstrip(":"),))


def measure(patient: Patient, seconds: float) -> dict[str, object]:
    before = digest(patient.target)
    found = fix_file(patient.target, patient.contract, patient.options, seconds=seconds)
    return {
        "target": patient.target.removeprefix(f"{ROOT}/"),
        "contract": found.contract,
        "claimed": patient.faults,
        "named": found.faults,
        "result": found.result,
        "lines": found.lines,
        "num_lines": found.num_lines,
        "edits": found.edits,
        "tried": found.num_tried,
        "seconds": round(found.seconds, 2),
        "diff": found.diff,
        "reason": found.reason,
        "held_back": found.result == "fixed" and is_right_elsewhere(found, patient),
        "untouched": digest(patient.target) == before,
    }


def is_right_elsewhere(found: Repair, patient: Patient) -> bool:
    work = partial(_check, found.text, patient.target, found.contract, patient.options)
    return run_in_child(work, limits=Limits(seconds=60)).value is True


def _check(text: str, target: str, contract: str, options: dict[str, object]) -> bool:
    from attention_surgeon.diagnose.load import load_target, split_target
    from attention_surgeon.repair.fix import _module_of

    place, name = split_target(target)
    loaded = load_target(place, name)
    assert loaded.file is not None
    mended = load(text, _module_of(loaded.file), loaded.name)
    judge = Judge(mended, contract, options)
    return judge.judged.is_right and judge.holds(mended, DRAW)


def digest(target: str) -> str:
    return hashlib.sha256(Path(target.rpartition(":")[0]).read_bytes()).hexdigest()


def table(rows: list[dict]) -> str:
    """Return what was measured, as Markdown."""
    lines = ["| wrong in | files | mended | in at most 3 lines | right on held-back calls | median | longest |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for title, group in groups(rows):
        fixed = [row for row in group if row["result"] == "fixed"]
        short = [row for row in fixed if row["num_lines"] <= SHORT]
        held = [row for row in fixed if row["held_back"]]
        times = [row["seconds"] for row in group]
        lines.append(
            f"| {title} | {len(group)} | {len(fixed)} ({share(fixed, group)}) | {len(short)} ({share(short, group)}) | "
            f"{len(held)} of {len(fixed)} | {statistics.median(times):.1f} s | {max(times):.1f} s |"
        )
    return "\n".join(lines)


def groups(rows: list[dict]) -> Iterator[tuple[str, list[dict]]]:
    for title, test in (
        ("one place", lambda row: len(row["claimed"]) == 1),
        ("two or three places", lambda row: len(row["claimed"]) > 1),
    ):
        group = [row for row in rows if test(row)]
        if group:
            yield title, group


def share(part: list, whole: list) -> str:
    return f"{100 * len(part) / len(whole):.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cases", type=Path, help="a folder of wrong_*.py besides")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--only", default="", help="only targets that contain this")
    asked = parser.parse_args()
    if not asked.measure:
        print(table([json.loads(line) for line in asked.out.read_text().splitlines()]))
        return
    chosen = [*patients(asked.every), *(cases(asked.cases) if asked.cases else ())]
    with asked.out.open("w") as out:
        for patient in (one for one in chosen if asked.only in one.target):
            row = measure(patient, asked.seconds)
            print(json.dumps(row), file=out, flush=True)
            print(
                row["result"],
                row["held_back"],
                row["num_lines"],
                row["seconds"],
                row["target"],
                *patient.faults,
                flush=True,
            )


if __name__ == "__main__":
    main()
