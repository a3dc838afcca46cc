"""The registry and the files that it speaks of."""

import ast
import re

import pytest

from attention_surgeon.course import Exercise
from attention_surgeon.course.generate import out_of_date
from tests.course_content.exercises import CONTENT, course

EXERCISES = [pytest.param(exercise, id=exercise.name) for exercise in course().exercises]
_SOLUTION = re.compile(r"^\s*(?:from|import) (?!attention_surgeon\.course\.solutions)[\w.]*solution", re.MULTILINE)
LONGEST = 40
"""Lines of one function of a solution; a class may have two of them."""


def test_the_units_stand_in_their_order() -> None:
    assert [str(unit.folder) for unit in course().units] == [
        "problems/02-attention-basics",
        "chapter01_attention",
        "lab1_self_attention",
        "project04_attention_surgeon",
        "m5_attention_from_scratch",
        "modern_attention",
    ]
    assert len(course().exercises) >= 24


def test_stubs_and_solutions_come_from_their_sources() -> None:
    assert out_of_date(course()) == {}


@pytest.mark.parametrize("exercise", EXERCISES)
def test_everything_is_there(exercise: Exercise) -> None:
    for file in (exercise.file, exercise.tests, exercise.solution, exercise.source):
        assert (exercise.content / file).is_file(), file
    assert exercise.object in (exercise.content / exercise.tests).read_text(encoding="utf-8")
    assert exercise.predict is None or len(set(exercise.predict.choices)) == len(exercise.predict.choices) >= 2


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_stub_says_what_to_write_and_gives_nothing_away(exercise: Exercise) -> None:
    stub = (exercise.content / exercise.file).read_text(encoding="utf-8")
    assert "# YOUR CODE HERE" in stub
    assert "SOLUTION" not in stub
    assert exercise.hints[2] not in stub


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_solution_is_short(exercise: Exercise) -> None:
    tree = ast.parse((exercise.content / exercise.solution).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert all((node.end_lineno or 0) - node.lineno < LONGEST for node in functions)


def test_minutes_of_exercises_fit_into_their_unit() -> None:
    for unit in course().units:
        assert sum(exercise.minutes for exercise in unit.exercises) <= unit.minutes
        assert unit.reflect


def test_no_stray_files() -> None:
    known = {unit.checks for unit in course().units}
    for exercise in course().exercises:
        known |= {exercise.content / f for f in (exercise.file, exercise.tests, exercise.solution, exercise.source)}
    python = {file for unit in course().units for file in unit.content.rglob("*.py")}
    assert python == known


def test_the_package_imports_no_solution() -> None:
    package = CONTENT.parent / "src"
    assert not [file for file in package.rglob("*.py") if _SOLUTION.search(file.read_text(encoding="utf-8"))]
