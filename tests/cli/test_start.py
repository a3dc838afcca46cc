"""How `surgeon` starts and how it ends, as a process of its own."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.screens import CAT

HEAVY = ["torch", "numpy", "matplotlib", "transformers", "rich", "safetensors", "jaxtyping", "attention_surgeon.ops"]
START = "import sys; from attention_surgeon.cli import main; main()"


def surgeon(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-c", START, *arguments]
    return subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, **options)


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"], ["trace", "--help"], ["diagnose", "--help"], ["faults", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]):
    code = (
        "import sys; from attention_surgeon.cli.app import run; "
        f"assert run({arguments!r}) == 0; print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_takes_little_more_than_what_it_is_made_with():
    """Beside a Python that loads typer alone, so that neither a busy nor a slow machine counts."""
    bare = [sys.executable, "-c", "import typer.main"]
    ours, theirs = [], []
    for _ in range(5):
        ours.append(processor_seconds(lambda: surgeon("--help")))
        theirs.append(processor_seconds(lambda: subprocess.run(bare, capture_output=True, check=True)))
    assert min(ours) < 2 * min(theirs)


def processor_seconds(call: Callable[[], subprocess.CompletedProcess[Any]]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert call().returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_whole_run():
    done = surgeon("trace", CAT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The cat sat on the mat\n4 heads · 6 tokens")


def test_a_wrong_call_is_one_line_on_stderr():
    done = surgeon("trace", CAT, "--mask", "casual")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --mask is 'casual', expected none, causal, reverse, window:3 (the query and the 2 before it) "
        "or prefix:2 (the first 2 for all).\n"
    )


def test_nobody_reads_on(tmp_path: Path):
    (tmp_path / "long.txt").write_text("word " * 100)
    command = [sys.executable, "-c", START, "trace", "--json", "--file", str(tmp_path / "long.txt")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(8) == '{"format'
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [(["trace", "a b"], ""), (["trace", "a b", "--json"], "1"), (["--help"], ""), (["--version"], "1")],
)
def test_a_full_disk(arguments: list[str], unbuffered: str):
    command = [sys.executable, "-c", START, *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write the standard output: the disk is full; free some space and try again.\n"
    )


def test_ctrl_c(tmp_path: Path):
    pipe = tmp_path / "never"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-c", START, "trace", "--file", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    writer = os.open(pipe, os.O_WRONLY)  # opens as soon as surgeon reads
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    os.close(writer)
    assert (process.returncode, output, errors) == (130, "", "stopped\n")
