"""How many wrong implementations `surgeon fix` mends: measured once, kept as lines of JSON, shown as a table.

python -m benchmarks.repair --measure                  every file that is not measured yet, one line each
python -m benchmarks.repair --measure --every 3        a third of them
python -m benchmarks.repair --measure --group modern --singles --draw 98 --seed 3
                                                       so many of them, which ones says the seed
python -m benchmarks.repair --measure --only two_faults --anew
python -m benchmarks.repair                            the table, from the lines that are there

A patch counts only if it is right on calls that neither the search nor its own check has used; of the cases that have a
right twin, if it answers the twin's call as the twin does. A line counts as right if a person changes it: what that is
says the twin of a case, or `tests/cases/lines.toml` and `tests/implementations/wrong/lines.toml`.

Seconds are of the processor, in a process that has loaded everything before: other work on the machine changes nothing.
"""

import argparse
import ast
import hashlib
import json
import random
import resource
import statistics
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import tests.implementations.reference
import tests.implementations.wrong  # noqa: F401 (fills WRONG)
from attention_surgeon.diagnose.child import Limits, run_in_child
from attention_surgeon.diagnose.load import load_target, split_target
from attention_surgeon.repair import Repair, fix_file
from attention_surgeon.repair.fix import module_of
from attention_surgeon.repair.judge_answers import AnswersJudge
from attention_surgeon.repair.judge_operations import OperationsJudge
from attention_surgeon.repair.judges import judges_of
from attention_surgeon.repair.patch import changed_lines
from attention_surgeon.repair.search import Search
from attention_surgeon.repair.workbench import load
from tests.cases.run import HERE as CASES
from tests.cases.run import read_case
from tests.implementations.implementation import WRONG

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "repair.jsonl"
SHORT = 3
DRAW = 1
WARMING = 2.0


@dataclass(frozen=True)
class Patient:
    """One wrong implementation: where it stands, what it is judged as, what is wrong, which lines a person changes."""

    group: str
    target: str
    contract: str | None
    options: dict[str, object]
    faults: tuple[str, ...]
    lines: tuple[int, ...] = ()


def patients() -> Iterator[Patient]:
    """Yield the implementations that were written by hand, then the cases, then those with a right twin."""
    for one in (one for one in list(WRONG) if hasattr(one.target, "__qualname__")):
        file, name = Path(str(sys.modules[one.target.__module__].__file__)), one.target.__qualname__
        lines = lines_of(file, name)
        yield Patient("implementations", f"{file}:{name}", one.contract, dict(one.options), tuple(one.faults), lines)
    told = tomllib.loads((CASES / "lines.toml").read_text(encoding="utf-8"))
    for file in sorted(CASES.glob("wrong_*.py")):
        yield from _case("cases", file, tuple(told.get(file.stem, ())))
    for file in sorted((CASES / "modern").glob("wrong_*.py")):
        twin = twin_of(file)
        yield from _case("modern", file, changed_lines(_body(file), _body(twin)) if twin.exists() else ())


def lines_of(file: Path, name: str) -> tuple[int, ...]:
    """Return the lines of the file that a person changes to mend one of its wrong implementations.

    Raises:
        KeyError: `lines.toml` beside the file does not say.
    """
    places = [line if isinstance(line, str) else f"{name}:{line}" for line in _told(file.parent)[file.stem][name]]
    starts = _starts_in(file)
    return tuple(starts[owner] + int(line) - 1 for owner, _, line in (place.partition(":") for place in places))


@cache
def _told(folder: Path) -> dict[str, dict[str, list[int | str]]]:
    return tomllib.loads((folder / "lines.toml").read_text(encoding="utf-8"))


@cache
def _starts_in(file: Path) -> dict[str, int]:
    """Return the first line of each definition of a file, its decorators included."""
    defined = [one for one in ast.parse(file.read_bytes()).body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    return {one.name: min(one.lineno, *(each.lineno for each in one.decorator_list), one.lineno) for one in defined}


def _case(group: str, file: Path, lines: tuple[int, ...]) -> Iterator[Patient]:
    case = read_case(file)
    if case is not None:
        yield Patient(group, case.target, None, {}, case.kinds, lines)


def twin_of(file: Path) -> Path:
    """Return the right file beside a wrong one."""
    return file.parent / f"right_{file.stem.removeprefix('wrong_').partition('__')[0]}.py"


def _body(file: Path) -> str:
    """Return the text with nothing in its first line, which says what is wrong."""
    return "\n" + file.read_text(encoding="utf-8").partition("\n")[2]


def warm(some: list[Patient]) -> None:
    """Load into this process, which every child is a copy of, what it takes to mend the first file of each contract."""
    for patient in {one.contract: one for one in reversed(some)}.values():
        place, name = split_target(patient.target)
        try:
            loaded = load_target(place, name)
        except ImportError:  # a file that needs a package that is not here is measured, and found unjudged
            continue
        assert loaded.file is not None
        for judge, allowed in judges_of(loaded.object, patient.contract, patient.options, WARMING):
            Search(judge, module_of(loaded.file), loaded.name, seconds=allowed).run(loaded.file.read_text("utf-8"))


def measure(patient: Patient, seconds: float) -> dict[str, object]:
    before, began = digest(patient.target), _processor_seconds()
    found = fix_file(patient.target, patient.contract, patient.options, seconds=seconds)
    used = _processor_seconds() - began
    return {
        "group": patient.group,
        "target": patient.target.removeprefix(f"{ROOT}/"),
        "contract": found.contract,
        "claimed": patient.faults,
        "named": found.faults,
        "result": found.result,
        "line": found.line,
        "lines": found.lines,
        "truth": patient.lines,
        "num_lines": found.num_lines,
        "edits": found.edits,
        "tried": found.num_tried,
        "seconds": round(used, 2),
        "diff": found.diff,
        "reason": found.reason,
        "held_back": found.result == "fixed" and is_right_elsewhere(found, patient),
        "untouched": digest(patient.target) == before,
    }


def _processor_seconds() -> float:
    """Return what the children of this process have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_right_elsewhere(found: Repair, patient: Patient) -> bool:
    work = partial(_check, found.text, patient)
    return run_in_child(work, limits=Limits(seconds=300)).value is True


def _check(text: str, patient: Patient) -> bool:
    place, name = split_target(patient.target)
    if patient.group == "modern":
        return _answers_as_its_twin(text, Path(place))
    loaded = load_target(place, name)
    assert loaded.file is not None
    mended = load(text, module_of(loaded.file), loaded.name)
    if patient.contract is None:
        seen = OperationsJudge(mended)
        return seen.first.status == "right" and seen.holds(mended, DRAW)
    judge = AnswersJudge(loaded.object, patient.contract, patient.options)
    return judge.is_right(mended) and judge.holds(mended, DRAW)


def _answers_as_its_twin(text: str, file: Path) -> bool:
    import tempfile

    from tests.cases.calls import call_of
    from tests.cases.test_corpus import call_and_twin, same

    name, twin = call_and_twin(file)
    with tempfile.TemporaryDirectory() as folder:
        mended = Path(folder) / file.name
        mended.write_text(text, encoding="utf-8")
        pairs = list(zip(call_of(name, twin), call_of(name, mended), strict=True))
    return all(same(right, ours) for right, ours in pairs)


def digest(target: str) -> str:
    return hashlib.sha256(Path(target.rpartition(":")[0]).read_bytes()).hexdigest()


def table(rows: list[dict]) -> str:
    """Return what was measured, as Markdown."""
    lines = [
        "| wrong in | files | line right | mended | in at most 3 lines | right on held-back calls | median | longest |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    once = {one.target: one for one in patients()}  # a file that was loaded to be judged has registered again
    there = Counter((one.group, len(one.faults) == 1) for one in once.values())
    for title, group in groups(rows):
        fixed = [row for row in group if row["result"] == "fixed"]
        short = [row for row in fixed if row["num_lines"] <= SHORT]
        held = [row for row in fixed if row["held_back"]]
        told = [row for row in group if row["truth"]]
        right = [row for row in told if is_line_right(row)]
        times = [row["seconds"] for row in group]
        said = f"{len(right)} of {len(told)} ({share(right, told)})" if told else "not written down"
        whole = there[group[0]["group"], len(group[0]["claimed"]) == 1]
        files = str(whole) if len(group) == whole else f"{len(group)} of {whole}"
        lines.append(
            f"| {title} | {files} | {said} | {len(fixed)} ({share(fixed, group)}) | "
            f"{len(short)} ({share(short, group)}) | {len(held)} of {len(fixed)} | "
            f"{statistics.median(times):.1f} s | {max(times):.1f} s |"
        )
    return "\n".join(lines)


def is_line_right(row: dict) -> bool:
    """Whether a line that is shown, the patch's or without one the judge's, is one that a person changes."""
    return bool(set(row["lines"] or [row["line"]]) & set(row["truth"]))


_TITLES = {
    "implementations": "implementations, {}",
    "cases": "`tests/cases`, {}",
    "modern": "`tests/cases/modern`, {}, where a mistake is seen",
}


def groups(rows: list[dict]) -> Iterator[tuple[str, list[dict]]]:
    for name, title in _TITLES.items():
        for words, is_one in (("one mistake", True), ("two or three", False)):
            group = [row for row in rows if row["group"] == name and (len(row["claimed"]) == 1) == is_one]
            if name == "modern":
                group = [row for row in group if row["result"] in ("fixed", "not_found")]
            for draw in sorted({row.get("draw", 0) for row in group}):
                drawn = f", draw {draw}" if draw else ""
                yield title.format(words) + drawn, [row for row in group if row.get("draw", 0) == draw]


def drawn(chosen: list[Patient], count: int | None, seed: int) -> list[Patient]:
    """Return so many of the files, in the order that the seed gives; None: all, as they are."""
    return chosen if count is None else random.Random(seed).sample(chosen, min(count, len(chosen)))


def share(part: list, whole: list) -> str:
    return f"{100 * len(part) / len(whole):.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--anew", action="store_true", help="also what is measured already")
    parser.add_argument("--only", nargs="+", default=[""], help="only targets that contain one of these words")
    parser.add_argument("--group", default="", choices=("", *_TITLES))
    parser.add_argument("--doubles", action="store_true", help="only those with more than one mistake")
    parser.add_argument("--singles", action="store_true", help="only those with one mistake")
    parser.add_argument("--draw", type=int, default=None, help="so many of them, in the order that the seed gives")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    if asked.measure:
        chosen = [
            one
            for one in patients()
            if any(word in one.target for word in asked.only)
            and asked.group in ("", one.group)
            and (len(one.faults) > 1 or not asked.doubles)
            and (len(one.faults) == 1 or not asked.singles)
        ][:: asked.every]
        chosen = drawn(chosen, asked.draw, asked.seed)
        known = set() if asked.anew else {row["target"] for row in rows}
        warm(chosen)
        for patient in chosen:
            target = patient.target.removeprefix(f"{ROOT}/")
            if target in known:
                continue
            row = measure(patient, asked.seconds) | {"draw": asked.seed if asked.draw else 0}
            rows = [other for other in rows if other["target"] != target] + [row]
            asked.out.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
            print(
                *(row[key] for key in ("result", "held_back", "num_lines", "seconds", "target", "claimed")), flush=True
            )
    print(table(rows))


if __name__ == "__main__":
    main()
