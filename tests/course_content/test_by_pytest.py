"""The tests that learners run: every solution passes, every untouched stub fails with a sentence; the commands work."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.course_content.exercises import CONTENT, course
from tests.forked import Forks

Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
LABS = ("lab01_dot_product", "lab02_visualization", "lab03_multihead", "lab04_pytorch_comparison")


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course with every solution in the place of its stub."""
    folder = tmp_path_factory.mktemp("course") / "course"
    shutil.copytree(CONTENT, folder)
    for exercise in course().exercises:
        to = folder / exercise.folder
        shutil.copy(to / exercise.solution, to / exercise.file)
    return folder


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with Forks("torch") as forks:
        yield lambda folder, *arguments: forks.run([sys.executable, *arguments], cwd=folder, env=os.environ)


@pytest.fixture
def run_pytest(run: Run) -> Run:
    return lambda folder, *arguments: run(folder, "-m", "pytest", "-p", "no:cacheprovider", *arguments)


def test_every_solution_passes(solved: Path, run_pytest: Run) -> None:
    ran = run_pytest(solved, "-q")
    assert ran.returncode == 0, ran.stdout
    assert f"{len(course().exercises)} passed" in ran.stdout


def test_every_stub_fails_with_a_sentence(run_pytest: Run) -> None:
    ran = run_pytest(CONTENT, "-q")
    assert re.search(rf"^{len(course().exercises)} failed in", ran.stdout, re.MULTILINE), ran.stdout
    said = [line for line in ran.stdout.splitlines() if line.startswith("E  ")]
    assert len(said) == len(course().exercises)
    assert all("write this part" in line for line in said), said
    assert not re.search(r"^\S*(src/attention_surgeon|lib/python)\S*\.py:\d+", ran.stdout, re.MULTILINE), ran.stdout


@pytest.mark.parametrize("lab", LABS[:1])
def test_the_command_of_a_lab_of_chapter_1(solved: Path, lab: str, run_pytest: Run) -> None:
    ran = run_pytest(solved / "chapter01_attention" / lab, "tests/")
    assert "3 passed" in ran.stdout
    assert (solved / "chapter01_attention" / lab / "solutions/attention.py").is_file()


def test_every_lab_of_chapter_1_has_its_folders() -> None:
    for lab in LABS:
        folder = CONTENT / "chapter01_attention" / lab
        assert all((folder / part).exists() for part in ("README.md", "src", "tests", "solutions"))


def test_the_capstone_writes_its_figures(solved: Path, run: Run) -> None:
    folder = solved / "m5_attention_from_scratch"
    assert "output   (2, 7, 5)  as expected" in run(folder, "steps.py").stdout
    assert run(folder, "visualize.py").returncode == 0
    assert (folder / "visualizations/attention_heatmap.png").stat().st_size > 1000
