"""Run PyTorch's own tests of attention with ours in place of its layer and function.

    python -m tests.torchs_own FOLDER        FOLDER: `test` of PyTorch's sources, of the version at hand or one near
    python -m tests.torchs_own               what was stored, as a table

The tests ask for the package expecttest. Ours takes the place of `torch.nn.MultiheadAttention` wherever PyTorch looks
for it, and of `scaled_dot_product_attention`, but in tests that compile TorchScript, which would compile ours, too; in
the tests of the layer also of `multi_head_attention_forward`. Calls are counted: where none is, nothing was tried.
"""

import argparse
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
STORED = ROOT / "benchmarks" / "results" / "torchs_own.json"

_OURS = "ATTENTION_SURGEON_IN_TORCHS_TESTS"
"""Set to the file that the report goes to, where ours is to be in place."""

_FILES = {
    "nn/test_multihead_attention.py": ["nn/test_multihead_attention.py"],
    "test_transformers.py": [
        f"test_transformers.py::{name}"
        for name in ("TestTransformersCPU", "TestAttnBiasCPU", "TestSDPAFailureModesCPU", "TestSDPACPU")
    ],
    "test_transformers.py, fused against math": ["test_transformers.py::TestSDPACpuOnlyCPU"],
    "test_nn.py": ["test_nn.py", "-k", "(transformer or multihead) and not cuda"],
}
"""What is run, by the name of its row."""

_EVERY = {"test_transformers.py, fused against math": 60}
"""Of so many cases one: there are thousands, which differ in sizes only."""

_REASONS = {
    "average_attn_weights": "expects NaN for a query without keys; ours gives 0",
    "test_transformerencoderlayer_cpu": "expects NaN for a query without keys; ours gives 0",
    "fast_path_mock": "looks whether the fused kernel is called; ours never lets it",
    "test_disable_fastpath": "looks whether the fused kernel is called; ours never lets it",
    "test_mask_check_fastpath": "looks whether the fused kernel is called; ours never lets it",
}
"""Why a case that fails is meant to."""


def main() -> int:
    """Run them and store what came out, or print what is stored; 1 if a case fails without a reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the folder `test` of PyTorch's sources")
    folder = parser.parse_args().folder
    if folder is not None:
        version = (folder.parent / "version.txt").read_text().strip()
        rows = [{"row": row, "of": version, "torch": torch.__version__} | _run(folder, row) for row in _FILES]
        STORED.write_text(json.dumps(rows, indent=1) + "\n")
    rows = json.loads(STORED.read_text())
    print("\n".join(_table(rows)))
    return int(any(_reason(name) is None for row in rows for name in row["failed"]))


def _run(folder: Path, row: str) -> dict[str, Any]:
    """Run one row with ours in place and without; a case that PyTorch itself fails is counted with the skipped."""
    return {"stock": _outcomes(folder, row, None)["passed"]} | _outcomes(folder, row, _OURS)


def _outcomes(folder: Path, row: str, ours: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / "report.json"
        options = [
            "-q",
            "-p",
            "tests.torchs_own",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:attention_surgeon",
            "-W",
            "ignore",
        ]
        command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, "--rootdir", ".", *_FILES[row]]
        path = os.pathsep.join([str(ROOT), ".", os.environ.get("PYTHONPATH", "")])
        asked = {"PYTHONPATH": path, "REPORT": str(report), "EVERY": str(_EVERY.get(row, 1)), "OMP_NUM_THREADS": "1"}
        asked |= {ours: "1"} if ours else {}
        subprocess.run(command, cwd=folder, env=os.environ | asked, stdout=subprocess.DEVNULL, check=False)
        return json.loads(report.read_text())


def _reason(name: str) -> str | None:
    return next((reason for part, reason in _REASONS.items() if part in name), None)


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| PyTorch's file | passed, PyTorch | passed, ours | failed, and why | calls of ours |"
    yield "| --- | ---: | ---: | --- | --- |"
    for row in rows:
        reasons = Counter(_reason(name) or f"**{name}**" for name in row["failed"])
        why = "; ".join(f"{number}: {reason}" for reason, number in reasons.items())
        calls = ", ".join(f"{number} of `{name}`" for name, number in sorted(row["calls"].items()))
        name = row["row"] + (f", one of {_EVERY[row['row']]} cases" if row["row"] in _EVERY else "")
        name += f" ({row['of']}, with torch {row['torch']})"
        yield f"| {name} | {row['stock']} | {row['passed']} | {why} | {calls} |"


# ---- what follows is a plugin of pytest ----

_calls: Counter[str] = Counter()
_found: dict[str, list[str]] = {"passed": [], "failed": []}


def pytest_configure(config: Any) -> None:
    """Put ours in place, before the tests bind the names."""
    if _OURS not in os.environ:
        return
    from attention_surgeon import nn

    def count(module: torch.nn.Module, _inputs: object) -> None:
        _calls["MultiheadAttention"] += isinstance(module, nn.MultiheadAttention)

    torch.nn.modules.module.register_module_forward_pre_hook(count)
    for place in (torch.nn, torch.nn.modules, torch.nn.modules.activation, torch.nn.modules.transformer):
        setattr(place, "MultiheadAttention", nn.MultiheadAttention)  # noqa: B010
    _both["scaled_dot_product_attention"] = (
        torch.nn.functional.scaled_dot_product_attention,
        _counted("scaled_dot_product_attention", nn.scaled_dot_product_attention),
    )
    if "nn/test_multihead_attention.py" in config.args:
        _both["multi_head_attention_forward"] = (
            torch.nn.functional.multi_head_attention_forward,
            _counted("multi_head_attention_forward", nn.multi_head_attention_forward),
        )
    _put(is_ours=True)


_both: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
"""By name PyTorch's function and ours."""


def _put(is_ours: bool) -> None:
    for name, functions in _both.items():
        setattr(torch.nn.functional, name, functions[is_ours])


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Keep one of so many."""
    items[:] = items[:: int(os.environ["EVERY"])]


def pytest_runtest_setup(item: Any) -> None:
    """Give the functions back to what compiles TorchScript."""
    _put(is_ours="jit.script" not in inspect.getsource(item.function))


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any, **options: Any) -> Any:
        _calls[name] += 1
        return function(*args, **options)

    return counted


def pytest_runtest_logreport(report: Any) -> None:
    """Note how a test ended."""
    if report.failed or (report.when == "call" and report.passed):
        _found[report.outcome].append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Leave the report."""
    found = {"passed": len(_found["passed"]), "failed": sorted(set(_found["failed"])), "calls": dict(_calls)}
    Path(os.environ["REPORT"]).write_text(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
