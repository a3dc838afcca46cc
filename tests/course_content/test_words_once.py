"""What is said of a mistake stands in one place: in the catalogue, or in the one exercise that has it."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import attention_surgeon.course
from attention_surgeon.course.exercises import ExplainedError, from_catalogue
from attention_surgeon.faults import catalogue, find_fault

FILES = sorted(Path(attention_surgeon.course.__file__).parent.rglob("*.py"))
WORDED = {"Mistake", "ExplainedError", "known", "_plot_error"}
"""What is called with a name and the words for it."""


def worded() -> dict[str, list[str]]:
    """Return the places in which a mistake gets words, by its name."""
    places = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in WORDED:
                continue
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                places[first.value].append(f"{file.name}:{node.lineno}")
    return places


def test_words_are_found():
    assert len(worded()) > 50


def test_no_exercise_words_a_mistake_of_the_catalogue_again():
    names = {fault.name for fault in catalogue()}
    assert {name: places for name, places in worded().items() if name in names} == {}


def test_no_mistake_is_worded_twice():
    assert {name: places for name, places in worded().items() if len(places) > 1} == {}


def test_what_is_seen_is_added_and_the_words_stay():
    seen = "With and without the scale you measure the same."
    mistake, words = from_catalogue("scale_missing", seen), find_fault("scale_missing").words
    assert (mistake.question, mistake.pointer, mistake.seen) == (words.question, words.pointer, (seen,))
    with pytest.raises(ExplainedError) as raised:
        raise ExplainedError(mistake)
    assert str(raised.value) == f"{seen} {words.question}"
