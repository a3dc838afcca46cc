"""Every exercise refuses what learners usually write, and says which mistake it is."""

import pytest

from tests.course_content.exercises import course, names_of, object_in
from tests.course_content.wrong_attempts import WRONG, Wrong


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.exercise}-{wrong.name}")
def test_a_usual_mistake_is_named(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = course().exercise(wrong.exercise)
    solution = exercise.content / exercise.solution
    monkeypatch.syspath_prepend(str(solution.parent))  # a function may import a neighbour when it is called
    text = solution.read_text(encoding="utf-8")
    kinds = [text.find(f"{kind} {exercise.object}") for kind in ("def", "class")]
    before, place, after = text[: max(kinds)], wrong.old, text[max(kinds) :]
    assert place in after, "the solution has changed"
    found = names_of(exercise, object_in(exercise, before + after.replace(place, wrong.new, 1)))
    assert found is not None, "it was accepted"
    assert wrong.name in (found or ("unrecognised",))


def test_every_exercise_has_a_wrong_attempt() -> None:
    assert {wrong.exercise for wrong in WRONG} == {exercise.name for exercise in course().exercises}
