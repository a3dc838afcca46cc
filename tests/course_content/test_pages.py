"""The pages: what a lab promises is there, pictures exist, and the examples of the chapter run."""

import doctest
import re
from pathlib import Path

import pytest

from attention_surgeon.course import Unit
from attention_surgeon.course.exercises.tiled import peak_numbers
from tests.course_content.exercises import CONTENT, course, object_in

PAGES = sorted(CONTENT.rglob("*.md"))
UNITS = [pytest.param(unit, id=unit.name) for unit in course().units]


def page(unit: Unit) -> str:
    return (unit.content / unit.page).read_text(encoding="utf-8")


@pytest.mark.parametrize("unit", UNITS)
def test_a_page_says_time_difficulty_and_what_it_builds_on(unit: Unit) -> None:
    assert all(f"**{word}**" in page(unit) for word in ("Time", "Difficulty", "Builds on"))
    assert "uv run pytest" in page(unit)


@pytest.mark.parametrize("unit", UNITS)
def test_every_exercise_stands_on_a_page(unit: Unit) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in unit.content.rglob("README.md"))
    assert [exercise.object for exercise in unit.exercises if exercise.object not in text] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(CONTENT)))
def test_pictures_are_there(file: Path) -> None:
    for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).is_file(), target


@pytest.mark.parametrize("name", ["01_attention_intuition", "02_scaled_dot_product", "03_multihead_attention"])
def test_examples_run(name: str) -> None:
    file = CONTENT / "chapter01_attention" / "docs" / f"{name}.md"
    result = doctest.testfile(str(file), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_the_memory_of_tiles_is_as_the_page_says() -> None:
    unit = course().unit("project04")
    exercise = course().exercise("project04.bonus_tiled")
    function = object_in(exercise, (exercise.content / exercise.solution).read_text(encoding="utf-8"))
    for n in (64, 128):
        assert f"{peak_numbers(function, n):,}" in page(unit)


def test_every_placeholder_of_the_capstone_is_written_out() -> None:
    text = page(course().unit("m5"))
    for formula in ("Q = X W_Q", "S = Q Kᵀ / √d_k", "P_ij = exp(S_ij)", "O = P V", "Var(q_i · k_j)"):
        assert formula in text
    assert "laceholder" not in text
