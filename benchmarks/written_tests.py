"""What written tests are worth: how many faults of its contract each kills, which right implementations it passes.

python -m benchmarks.written_tests --measure            every kind, one line of JSON each
python -m benchmarks.written_tests --measure --only causal
python -m benchmarks.written_tests                      the table, from the lines that are there

A right implementation is one of `tests/implementations/valid` of the same contract (and options): its test is written,
and must pass. Some have parts that no test is written for; they are counted apart.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import tests.implementations.reference
import tests.implementations.valid  # noqa: F401 (fills VALID)
from attention_surgeon.diagnose.doctor.targets import Kind, find_kind
from attention_surgeon.errors import SurgeonError
from attention_surgeon.testing import Contract, make_contract
from tests.implementations.implementation import VALID, Implementation
from tests.repair.proving import first_failure, survivors, text_for, text_of
from tests.repair.test_write_test import KINDS

OUT = Path(__file__).parent / "results" / "written_tests.jsonl"


def measure(kind: Kind) -> dict[str, Any]:
    """Return the figures of one kind of object."""
    began = time.process_time()
    alive, number = survivors(kind, text_for(kind))
    contract = kind.make_contract()
    same = [one for one in VALID if one.contract == contract.registered_name]
    if kind.name != contract.registered_name and any(_asks_the_same(one, contract) for one in same):
        same = [one for one in same if _asks_the_same(one, contract)]
    passed, unwritten, longest = 0, 0, 0.0
    for one in same:
        verdict, seconds = _passes(one)
        passed, unwritten = passed + (verdict is True), unwritten + (verdict is None)
        longest = max(longest, seconds)
    return {
        "kind": kind.name,
        "faults": number,
        "killed": number - len(alive),
        "right": len(same) - unwritten,
        "passed": passed,
        "unwritten": unwritten,
        "longest": round(longest, 2),
        "took": round(time.process_time() - began, 1),
    }


def _asks_the_same(one: Implementation, contract: Contract) -> bool:
    return make_contract(one.contract, **one.options) == contract


def _passes(one: Implementation) -> tuple[bool | None, float]:
    """Return whether a right implementation passes its own test (None: no test is written for it), and the seconds."""
    try:
        text = text_of(one.target, make_contract(one.contract, **one.options))
    except SurgeonError:
        return None, 0.0
    began = time.process_time()
    return first_failure(text, one.target) is None, time.process_time() - began


def table(rows: list[dict[str, Any]]) -> str:
    """Return what was measured, as Markdown."""
    lines = ["| a test of | faults | killed | right implementations | passed | without a test | longest run |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        shown = (row[key] for key in ("kind", "faults", "killed", "right", "passed", "unwritten"))
        lines.append(f"| {' | '.join(map(str, shown))} | {row['longest']:.1f} s |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--only", default="", help="only kinds whose name holds this")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in OUT.read_text(encoding="utf-8").splitlines()] if OUT.exists() else []
    if asked.measure:
        for name in (name for name in KINDS if asked.only in name):
            row = measure(find_kind(name))
            rows = [other for other in rows if other["kind"] != name] + [row]
            OUT.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
            print(json.dumps(row), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
