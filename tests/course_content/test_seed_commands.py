"""The commands of the texts that the course grew from, word for word, in a fresh workspace and in the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attention_surgeon.course.solutions import ask_for_solution
from attention_surgeon.course.start import start_workspace
from attention_surgeon.course.workspace import Workspace
from tests.course_content.exercises import CONTENT

READING = (
    ("chapter01_attention", "cat docs/01_attention_intuition.md"),
    ("chapter01_attention", "cd lab01_dot_product\ncat README.md"),
    ("chapter01_attention/lab01_dot_product", "cd ../lab02_visualization"),
    ("chapter01_attention/lab01_dot_product", "cat solutions/attention.py"),
    ("lab1_self_attention", "cd solution\npython 01_self_attention.py"),
)
WRITTEN = "cd problems/02-attention-basics\nuv run pytest test_attention.py -v"
TESTING = (
    ("workspace", ".", WRITTEN),
    ("project", ".", f"{WRITTEN} -s"),
    ("workspace", "chapter01_attention/lab01_dot_product", "uv run pytest tests/"),
    ("project", "chapter01_attention/lab01_dot_product", "uv run pytest tests/"),
)
OPENED = ("basics.attention", "chapter01.attention", "lab1.self_attention")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `uv`: the real one, or what it does in an environment that is ready."""
    folder = tmp_path_factory.mktemp("bin")
    found = shutil.which("uv") or shutil.which("uv", path=str(CONTENT.parent / ".uv/bin"))
    if found is not None:
        (folder / "uv").symlink_to(found)
    else:
        (folder / "uv").write_text('#!/bin/sh\nshift\nexec python -m "$@"\n', encoding="utf-8")
        (folder / "uv").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh workspace, its name with a blank and an umlaut, in which some solutions were asked for."""
    folder = tmp_path_factory.mktemp("lab") / "mein Kurs für März"
    start_workspace(folder, (CONTENT,), alone=True)
    made = Workspace(folder)
    for name in OPENED:
        ask_for_solution(made, made.course.exercise(name))
    return folder


def run(command: str, folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    own = {"UV_NO_SYNC": "1", "UV_OFFLINE": "1", "VIRTUAL_ENV": sys.prefix, "MPLBACKEND": "Agg"}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | own | {"PATH": path}
    return subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(("place", "command"), READING)
@pytest.mark.parametrize("where", ["workspace", "project"])
def test_what_is_read_and_run(where: str, place: str, command: str, workspace: Path, programs: Path) -> None:
    done = run(command, (workspace if where == "workspace" else CONTENT) / place, programs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or command.startswith("cd ..")
    if "01_self_attention.py" in command:
        assert "on the future    0.0" in done.stdout
        assert "three heads      (1, 7, 12) weights (1, 3, 7, 7)" in done.stdout


@pytest.mark.parametrize(("where", "place", "command"), TESTING)
def test_the_tests_ask_for_what_is_not_written(
    where: str, place: str, command: str, workspace: Path, programs: Path
) -> None:
    done = run(command, (workspace if where == "workspace" else CONTENT) / place, programs)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "write this part" in done.stdout


def test_the_tests_pass_once_it_is_written(workspace: Path, programs: Path, tmp_path: Path) -> None:
    written = tmp_path / workspace.name
    shutil.copytree(workspace, written, symlinks=True)  # its environment is a link to gigabytes
    shutil.copy(CONTENT / "problems/02-attention-basics/solution/problem.py", written / "problems/02-attention-basics")
    done = run(WRITTEN, written, programs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_attention.py::test_attention PASSED" in done.stdout
