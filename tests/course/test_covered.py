"""Who has passed an exercise need not write the same again: it is said, left out, shown, and counted."""

from datetime import datetime
from pathlib import Path

import pytest

from attention_surgeon.cli.lessons import list_lines
from attention_surgeon.cli.watch_words import missing
from attention_surgeon.course import Course, load_course
from attention_surgeon.course.grading.formats import as_csv, told
from attention_surgeon.course.grading.grade import Grade, Submission, with_covered
from attention_surgeon.course.grading.students import Handed, Student
from attention_surgeon.course.page import progress_page
from attention_surgeon.course.session import covered, following, is_done, judge_exercise
from attention_surgeon.course.start import start_workspace
from attention_surgeon.course.state import Standing, State
from attention_surgeon.course.workspace import Workspace
from attention_surgeon.errors import FileFormatError
from tests.course.frames import PASSED, UNTOUCHED
from tests.course.hostile import RIGHT
from tests.course.tiny import write_course

PASSED_ON = "2026-11-03T14:02:07+00:00"


@pytest.fixture
def covering(tmp_path: Path) -> Course:
    """The tiny course, in which the first exercise covers the second."""
    folder = write_course(tmp_path / "content")
    registry = folder / "course.toml"
    text = registry.read_text(encoding="utf-8")
    place = 'passed = "Rows and columns can change places."\n'
    assert place in text
    registry.write_text(text.replace(place, place + 'covered_by = ["basics.attention"]\n'), encoding="utf-8")
    return load_course(folder)


@pytest.fixture
def passed() -> dict[str, Standing]:
    return {"basics.attention": Standing(passed=PASSED_ON)}


def workspace_of(course: Course, folder: Path) -> Workspace:
    start_workspace(folder, course.folders, alone=True)
    return Workspace(folder)


def test_what_is_covered_is_left_out(covering: Course, passed: dict[str, Standing]) -> None:
    attention, turn, last = covering.exercises
    assert following(covering.exercises, attention, {}) == turn
    assert following(covering.exercises, attention, passed) == last
    assert covered(covering.exercises, passed) == {"basics.turn": "basics.attention"}
    assert is_done(State(exercises=passed), covering.units[0])
    assert "Left out: basics.turn (covered by basics.attention)." in missing(covering, attention, last, passed)


def test_what_is_passed_itself_is_not_covered(covering: Course, passed: dict[str, Standing]) -> None:
    assert not covered(covering.exercises, passed | {"basics.turn": Standing(passed=PASSED_ON)})


def test_it_is_said_when_it_happens_and_shown(covering: Course, tmp_path: Path, judge: object) -> None:
    workspace = workspace_of(covering, tmp_path / "lab")
    attention = workspace.course.exercises[0]
    workspace.file(attention).write_text(RIGHT, encoding="utf-8")
    judged = judge_exercise(workspace, judge, attention)  # type: ignore[arg-type]
    assert any("this shows what basics.turn would ask again" in note for note in judged.notes), judged.notes
    listed = "\n".join(line.plain for line in list_lines(workspace, 80))
    assert "↷ basics.turn                covered by basics.attention" in listed
    assert "1 of 3 passed, 1 covered by them" in listed
    page = progress_page(workspace, datetime.fromisoformat(PASSED_ON))
    assert "1 of 3 exercises passed, 1 covered by them" in page
    assert "covered by <code>basics.attention</code>" in page


def test_a_teacher_sees_it_and_it_counts(covering: Course) -> None:
    attention, turn, last = covering.exercises
    grades = with_covered([Grade(attention, PASSED), Grade(turn, UNTOUCHED), Grade(last, None, "no file")])
    submission = Submission("class/anna", Handed(Student("1001")), tuple(grades))
    assert [each.status for each in submission.grades] == ["passed", "covered", "missing"]
    assert submission.points == attention.points + turn.points
    assert submission.grades[1].sentence == "basics.attention is passed, which asks for the same and more."
    assert "1 of 3 exercises passed, 1 covered by them" in told(submission)
    assert ",covered," in as_csv([submission])


def test_without_the_other_nothing_is_covered(covering: Course) -> None:
    _, turn, _ = covering.exercises
    (grade,) = with_covered([Grade(turn, UNTOUCHED)])
    assert (grade.status, grade.points) == ("untouched", 0)


def test_only_exercises_cover(tmp_path: Path) -> None:
    folder = write_course(tmp_path)
    registry = folder / "course.toml"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(
        text.replace('object = "turn"', 'object = "turn"\ncovered_by = ["basics.turned"]'), encoding="utf-8"
    )
    with pytest.raises(FileFormatError, match=r"covered by .basics\.turned., which is no other exercise"):
        load_course(folder)


def test_the_courses_rewritings_are_few() -> None:
    shipped = load_course()
    repeated = {exercise.name for exercise in shipped.exercises if exercise.covered_by}
    passed = {name: Standing(passed=PASSED_ON) for name in ("lab1.multihead", "project04.attention")}
    left_out = covered(shipped.exercises, passed)
    assert set(left_out) <= repeated
    assert {"basics.attention", "chapter01.attention", "chapter01.torch_layer", "m5.scores", "m5.output"} <= set(
        left_out
    )
