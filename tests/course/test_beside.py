"""What `s` in `surgeon watch` shows: the learner's own file in a small model, beside the course's solution."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.cli.watch_pages import trained_lines
from attention_surgeon.course import beside
from attention_surgeon.course.asking import request_for
from attention_surgeon.course.beside import train_beside
from attention_surgeon.testing.steadiness import surroundings_kept
from tests.course_content.attempts import Attempt
from tests.course_content.exercises import CONTENT, course

BEFORE = "what follows, before anybody can know"
WRITING = "when it writes: no future to look at"
KNOWN = "what follows, once the pattern is seen"
OPPOSITE = "what stands at the opposite end"

TRAINED = (
    "basics.attention", "chapter01.softmax", "chapter01.attention", "chapter01.multihead", "chapter01.torch_layer",
    "lab1.self_attention", "lab1.multihead", "lab1.causal_mask", "lab1.cross", "project04.attention",
    "project04.causal_mask", "project04.bonus_cross", "project04.bonus_multi_query", "m5.scores", "m5.weights",
    "m5.output",
)  # fmt: skip


def trained(exercise: str, text: str, folder: Path) -> dict[str, Any]:
    chosen = course().exercise(exercise)
    file = folder / Path(chosen.file).name
    file.write_text(text, encoding="utf-8")
    request = request_for(chosen, file)
    with surroundings_kept():
        return train_beside({**request, "solution": str(chosen.content / chosen.solution)})


def attempted(attempt: Attempt, folder: Path) -> dict[str, tuple[float, float]]:
    found = trained(attempt.exercise, attempt.text(), folder)
    return {name: (healthy, yours) for name, healthy, yours in found["measured"]}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy computer makes fewer steps in the same time; here all of them are made."""
    monkeypatch.setattr(beside, "_SECONDS", 600.0)
    monkeypatch.setattr(beside, "_STEPS", 50)


@pytest.fixture(autouse=True)
def no_neighbours_stay() -> Iterator[None]:
    """Forget what a solution imports from beside it: other tests have files of their own named `attention`."""
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(CONTENT)):
            del sys.modules[name]


@pytest.mark.parametrize("exercise", TRAINED)
def test_a_solution_answers_as_the_solution(exercise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_STEPS", 3)
    chosen = course().exercise(exercise)
    found = trained(exercise, (chosen.content / chosen.solution).read_text(encoding="utf-8"), tmp_path)
    assert found["steps"] == 3
    assert all(healthy == yours for _, healthy, yours in found["measured"])


def test_the_learners_own_line_is_what_is_trained(tmp_path: Path) -> None:
    attempt = Attempt("lab1.self_attention", "zeros", "return 0 * V, weights", "return weights @ V, weights")
    healthy, yours = attempted(attempt, tmp_path)[OPPOSITE]
    assert healthy > 0.9
    assert yours < 0.4


def test_a_mask_that_is_not_used_looks_ahead(tmp_path: Path) -> None:
    attempt = Attempt("lab1.multihead", "no mask", "if False:", "if mask is not None:")
    measured = attempted(attempt, tmp_path)
    healthy, yours = measured[BEFORE]
    assert healthy < 0.3 < 0.9 < yours


def test_a_reversed_mask_cannot_write(tmp_path: Path) -> None:
    attempt = Attempt("project04.causal_mask", "tril", "torch.tril(full, diagonal=-1)", "torch.triu(full, diagonal=1)")
    healthy, yours = attempted(attempt, tmp_path)[WRITING]
    assert healthy > 0.9
    assert yours < 0.3


def test_numpy_is_trained_as_well(tmp_path: Path) -> None:
    attempt = Attempt("chapter01.attention", "turned", "weights = softmax(scores.T)", "weights = softmax(scores)")
    healthy, yours = attempted(attempt, tmp_path)[KNOWN]
    assert healthy > 0.9
    assert yours < 0.7


def test_what_cannot_stand_in_a_model_is_said(tmp_path: Path) -> None:
    chosen = course().exercise("lab1.padding_mask")
    found = trained(chosen.name, (chosen.content / chosen.solution).read_text(encoding="utf-8"), tmp_path)
    assert found == {"steps": 0, "measured": []}
    assert "`create_padding_mask` alone cannot stand in a model" in shown(found, chosen.object)


def shown(found: dict[str, Any], name: str = "attention", width: int = 80) -> str:
    lines = list(trained_lines(found, name, width))
    assert all(line.cell_len <= width for line in lines)
    return "\n".join(line.plain for line in lines)


def test_only_what_differs_is_shown() -> None:
    said = shown({"steps": 50, "measured": [[KNOWN, 1.0, 0.99], [BEFORE, 0.1, 1.0], [WRITING, 1.0, 0.25]]})
    assert KNOWN not in said
    assert "25%" in said
    assert "it looks at what follows" in said


def test_no_difference_is_said() -> None:
    said = shown({"steps": 50, "measured": [[OPPOSITE, 0.98, 0.99]]})
    assert OPPOSITE not in said
    assert "this game does not show your mistake" in said


def test_a_narrow_window_clips_nothing_that_counts() -> None:
    assert "25%" in shown({"steps": 50, "measured": [[WRITING, 1.0, 0.25]]}, width=40)
