import re
from pathlib import Path

import pytest

from attention_surgeon.course import Course, load_course
from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from tests.course.tiny import REGISTRY


def test_what_stands_in_a_registry(course: Course):
    assert [exercise.name for exercise in course.exercises] == ["basics.attention", "basics.turn", "end.layer"]
    exercise = course.exercise("basics.attention")
    assert str(exercise.path) == "problems/01-basics/problem.py"
    assert (exercise.minutes, exercise.check, exercise.options) == (10, None, {})
    assert exercise.predict is not None
    assert exercise.predict.choices[exercise.predict.answer] == "n_q x n_k"
    assert course.exercise("basics.turn").check == "check_turn"
    assert course.unit("end").builds_on == ("basics",)


def test_two_folders_make_one_course(content: Path, tmp_path: Path):
    own = REGISTRY.replace("basics", "extra").replace("problems/01-", "units/").replace('"end', '"last')
    own = own.replace('folder = "last"', 'folder = "units/last"')
    (tmp_path / "course.toml").write_text(own)
    course = load_course(content, tmp_path)
    assert [unit.name for unit in course.units] == ["basics", "end", "extra", "last"]
    assert course.exercise("extra.turn").content == tmp_path / "units/extra"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("version = 1", "", "version is missing; it is a whole number."),
        ("minutes = 30", 'minutes = "30"', "minutes is a text, expected a whole number."),
        ("minutes = 30", "minutes = true", "minutes is true or false, expected a whole number."),
        (
            "minutes = 30",
            "minuts = 30",
            "minutes is missing; it is a whole number. There is minuts; did you mean that?",
        ),
        ("minutes = 30", "minutes = 0", "minutes is 0, expected a number above 0."),
        ("difficulty = 1", "difficulty = 6", "difficulty is 6, expected 1 to 5."),
        ('title = "Turn a matrix"', 'title = "T"\ncolour = 1', "there is no key colour."),
        ('name = "basics.turn"', 'name = "turn"', "its name must be basics.SOMETHING, of a-z, 0-9 and _."),
        ('name = "basics"', 'name = "Basics 1"', "its name must be of a-z, 0-9 and _."),
        ('file = "turn.py"', 'file = "../turn.py"', "expected a path inside its folder, with / between its parts."),
        ('file = "turn.py"', 'file = "/etc/turn.py"', "file is '/etc/turn.py', expected a path inside its folder"),
        ('folder = "end"', 'folder = "problems/01-basics/end"', "shares the folder"),
        ('object = "turn"', 'object = "turn it"', "expected the name of a function or class."),
        ('contract = "checks:check_turn"', 'contract = "checks:"', "expected checks:FUNCTION."),
        ("answer = 1", "answer = 2", "answer is 2, expected 0 to 1."),
        ('choices = ["n_q", "n_q x n_k"]', 'choices = ["n_q"]', "it needs at least two choices."),
        ('hints = ["What is projected?", ', "hints = [", "it has 2 hints, expected three: question, pointer, fix."),
        ('hints = ["What is projected?", ', "hints = [1, ", "hints holds a whole number, expected texts only."),
        ('builds_on = ["basics"]', 'builds_on = ["basic"]', "builds on 'basic', which does not come before it."),
        ('name = "basics.turn"', 'name = "basics.attention"', "has the exercise 'basics.attention' twice."),
        ("[[unit]]", "[[unit", "it is not TOML"),
    ],
)
def test_a_mistake_of_the_author(tmp_path: Path, before: str, after: str, message: str):
    assert before in REGISTRY
    (tmp_path / "course.toml").write_text(REGISTRY.replace(before, after))
    with pytest.raises(FileFormatError, match=re.escape(message)) as raised:
        load_course(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_no_registry(tmp_path: Path):
    with pytest.raises(FileAccessError, match=r"course\.toml: there is no such file"):
        load_course(tmp_path)


def test_names_that_are_not_there(course: Course):
    with pytest.raises(OptionError, match=r"no exercise 'basics\.trun'; Did you mean basics\.turn\?"):
        course.exercise("basics.trun")
    with pytest.raises(OptionError, match="no unit 'start'; the units are basics, end"):
        course.unit("start")
