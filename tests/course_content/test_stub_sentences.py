"""The stub is the contract: every sentence of it has a check, and every check a sentence.

A sentence has a check if an attempt that breaks it, and nothing else, is refused (`attempts/wrong.py`, tested in
`test_attempts.py`). A check has a sentence if its words stand in the stub.
"""

import ast
import re

import pytest

from attention_surgeon.course import Exercise
from attention_surgeon.course.exercises.promises import PROMISES
from attention_surgeon.course.source import find_definition
from tests.course_content.attempts import WRONG
from tests.course_content.exercises import course

ONLY_SAID = {
    "basics.shuffling": (
        "attention: function from (batch, seq_len, n_embd) to the same shape.",
        "x: tensor (batch, seq_len, n_embd).",
    ),
    "project04.attention": ("Q: [batch, n_q, d_k], K: [batch, n_k, d_k], V: [batch, n_k, d_v].",),
    "project04.grid": ("tokens: seq_len words.",),
    "project04.scaling": (
        "Draw NUM_DRAWS times a query [1, d_k] and NUM_KEYS keys [NUM_KEYS, d_k], all entries normal, and measure:",
        '{"d_k": ..., "scaled": True or False,',
        "where `wanted` is a normal number for each weight: what a loss would like the weights to be.",
    ),
    "project04.bonus_cross": ("x: (batch, n_q, embed_dim);", "context: (batch, n_k, embed_dim)."),
    "m5.gradients": ("Q (n_q, d_k), K (n_k, d_k), V (n_k, d_v), G (n_q, d_v).",),
}
"""What a stub says of the arguments that it gives: nobody can break it."""

_ENDS = re.compile(r"(?<=[.;])\s+(?=[A-Z][a-z]|[a-z]+: )|\n+(?=[\w.{\"' ]*[\w\"']+: |{|where )|(?<=\.)\n+|\n\n+")


def plain(text: str) -> str:
    return " ".join(text.replace("\n#", "\n").split())


def stub_of(exercise: Exercise) -> str:
    return plain((exercise.content / exercise.file).read_text(encoding="utf-8"))


def sentences_of(exercise: Exercise) -> list[str]:
    """Return the sentences of the docstrings of what is judged."""
    tree = ast.parse((exercise.content / exercise.file).read_text(encoding="utf-8"))
    node = find_definition(tree, exercise.object)
    assert node is not None
    found = [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    texts = [ast.get_docstring(each) or "" for each in found]
    return [plain(sentence) for text in texts for sentence in _ENDS.split(text) if sentence.strip()]


SENTENCES = [pytest.param(exercise, id=exercise.name) for exercise in course().exercises]


@pytest.mark.parametrize("exercise", SENTENCES)
def test_every_sentence_of_a_stub_has_a_check(exercise: Exercise) -> None:
    broken = [plain(attempt.breaks) for attempt in WRONG if attempt.exercise == exercise.name and attempt.breaks]
    for sentence in sentences_of(exercise):
        is_checked = any(sentence in words or words in sentence for words in broken)
        assert is_checked or sentence in ONLY_SAID.get(exercise.name, ()), sentence


@pytest.mark.parametrize("exercise", SENTENCES)
def test_every_check_has_a_sentence(exercise: Exercise) -> None:
    stub = stub_of(exercise)
    asked = [promise.asked for promise in PROMISES.get(exercise.name, ())]
    broken = [attempt.breaks for attempt in WRONG if attempt.exercise == exercise.name]
    for words in (*asked, *broken):
        assert plain(words).rstrip(".") in stub, words


def test_promises_are_of_exercises() -> None:
    assert set(PROMISES) <= {exercise.name for exercise in course().exercises}


def test_what_is_only_said_is_said() -> None:
    for name, sentences in ONLY_SAID.items():
        found = sentences_of(course().exercise(name))
        assert all(sentence in found for sentence in sentences), (name, found)
