"""The grades of a class in every format, against what the other tools' documentation asks."""

import csv
import io
import json
import os
import stat
import subprocess
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attention_surgeon.cli.grade import submission_lines
from attention_surgeon.course import Course
from attention_surgeon.course.grading import Grade, Student, Submission, read_roster
from attention_surgeon.course.grading.formats import as_csv, as_gradescope, as_json, as_otter, as_prairielearn
from attention_surgeon.course.grading.students import Handed
from attention_surgeon.errors import FileFormatError, SurgeonError
from tests.cli.conftest import Surgeon, surgeon
from tests.course.frames import BASE, PASSED, STOPPED, UNKNOWN
from tests.course.hostile import RIGHT

__all__ = ["surgeon"]
SCHEMAS = Path(__file__).parent / "schemas"


def check(text: str, schema: str) -> dict[str, Any]:
    """Return the document, which is what a tool takes."""
    found = json.loads(text)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    return found


@pytest.fixture
def submissions(course: Course) -> list[Submission]:
    """Two of a class: one has passed, failed and not handed in an exercise, one nothing."""
    attention, turn, layer = course.exercises
    worth = (replace(attention, points=5), turn, layer)
    anna = Submission(
        "class/=anna",
        Handed(Student("1007", "Anna Ö", "anna@example.org"), datetime.fromisoformat("2026-12-02T01:59:00+00:00")),
        (
            Grade(worth[0], PASSED, attempts=3, late=timedelta(hours=2)),
            Grade(worth[1], BASE, attempts=4),
            Grade(worth[2], None, "there is no end/layer.py, or it is larger than 1 MB"),
        ),
    )
    nobody = [Grade(each, None, f"there is no {each.path}, or it is larger than 1 MB") for each in worth]
    return [anna, Submission("class/bert", Handed(Student("1003")), tuple(nobody))]


def test_points_lateness_and_attempts_add_up(submissions: list[Submission]):
    anna, bert = submissions
    assert (anna.points, anna.max_points, anna.attempts, anna.late) == (5, 8, 7, timedelta(hours=2))
    assert (bert.points, bert.max_points, bert.attempts, bert.late) == (0, 8, None, timedelta())


@pytest.mark.parametrize("verdict", [PASSED, BASE, UNKNOWN, STOPPED])
def test_a_sentence_for_every_verdict(verdict: Any, course: Course):
    assert Grade(course.exercises[0], verdict).sentence


def test_text(submissions: list[Submission]):
    assert [line.plain.rstrip() for line in submission_lines(submissions[0], 80)] == [
        "Anna Ö (1007): 5 of 8 points, 1 of 3 exercises passed, 2 hours late, 7 attempts.",
        "  ✓ basics.attention          5/5  2 hours late",
        "  ✗ basics.turn               0/1  softmax_over_queries, mask_ignored",
        f"    {BASE.found.mistakes[0].symptom}",
        "  ○ end.layer                 0/2  there is no end/layer.py, or it is larger th…",
    ]


def test_csv(submissions: list[Submission]):
    rows = list(csv.DictReader(io.StringIO(as_csv(submissions))))
    assert [row["exercise"] for row in rows[:4]] == ["basics.attention", "basics.turn", "end.layer", "total"]
    assert {row["student"] for row in rows} == {"1007", "1003"}
    assert all(row["sentence"] for row in rows)
    assert (rows[3]["points"], rows[3]["max_points"], rows[3]["late_hours"]) == ("5", "8", "2.0")
    assert rows[3]["sentence"] == "5 of 8 points, 1 of 3 exercises passed, 2 hours late, 7 attempts."
    assert rows[1]["mistakes"] == "softmax_over_queries mask_ignored"
    assert [row["status"] for row in rows[:3]] == ["passed", "mistake", "missing"]


def test_no_cell_is_a_formula(submissions: list[Submission]):
    evil = replace(submissions[0], folder="=HYPERLINK()")
    assert "'=HYPERLINK()" in as_csv([evil])


def test_json(submissions: list[Submission]):
    found = json.loads(as_json(submissions))
    assert (found["format"], found["version"]) == ("attention-surgeon grades", 3)
    anna = found["submissions"][0]
    assert (anna["student"], anna["points"]) == ("1007", 5)
    assert anna["grades"][1]["sentence"] == "Your rows do not sum to 1; your columns do."


def test_gradescope(submissions: list[Submission]):
    found = check(as_gradescope(submissions[0]), "gradescope")
    assert found["score"] == sum(test["score"] for test in found["tests"]) == 5
    assert [test["status"] for test in found["tests"]] == ["passed", "failed", "failed"]
    assert "Along which axis" in found["tests"][1]["output"]
    assert "dim=-1" not in as_gradescope(submissions[0])
    check(as_gradescope(submissions[1]), "gradescope")


def test_prairielearn(submissions: list[Submission]):
    found = check(as_prairielearn(submissions[0]), "prairielearn")
    assert found["score"] == pytest.approx(5 / 8)
    assert sum(test["points"] for test in found["tests"]) == 5
    nothing = check(as_prairielearn(submissions[1]), "prairielearn")
    assert nothing["gradable"] is False
    assert len(nothing["format_errors"]) == 3


def test_the_schemas_refuse(submissions: list[Submission]):
    with pytest.raises(jsonschema.ValidationError):
        check(as_gradescope(submissions[0]).replace('"visible"', '"seen"'), "gradescope")
    with pytest.raises(jsonschema.ValidationError):
        check('{"gradable": true}', "prairielearn")


def test_otter(submissions: list[Submission]):
    """As `otter grade` writes final_grades.csv: questions by name, the points first, then by file."""
    rows = list(csv.DictReader(io.StringIO(as_otter(submissions))))
    questions = ["basics.attention", "basics.turn", "end.layer"]
    assert list(rows[0]) == ["file", *questions, "total_points_earned", "percent_correct", "grading_status"]
    assert list(rows[0].values()) == ["points-per-question", "5", "1", "2", "8", "1.0", "--"]
    assert [list(row.values()) for row in rows[1:]] == [
        ["1003", "0", "0", "0", "0", "0.0", "Completed"],
        ["1007", "5", "0", "0", "5", "0.625", "Completed"],
    ]


def test_a_roster(tmp_path: Path):
    file = tmp_path / "class.csv"
    file.write_text("submission,student,name,submitted\nlab_7,1007,Anna,2026-12-01T10:00:00+00:00\n")
    roster = read_roster(file)
    assert roster.of(tmp_path / "lab_7").student == Student("1007", "Anna")
    assert roster.of(tmp_path / "lab_8").student.id == "lab_8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder,student\na,1\n", "there is no column submission; its first line must name submission and student"),
        ("submission,student\na,\n", r"line 2: the submission 'a' has no student."),
        ("submission,student\na,1\na,2\n", "line 3: the submission 'a' is there twice."),
        ("submission,student,attempts\na,1,x\n", "line 2: attempts is 'x', expected a whole number."),
        ("submission,student,submitted\na,1,noon\n", "line 2: the time is 'noon', expected one as 2026-12-01T23:59"),
    ],
)
def test_a_roster_that_is_not_right(text: str, message: str, tmp_path: Path):
    (tmp_path / "class.csv").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_roster(tmp_path / "class.csv")


METADATA = {
    "id": 1,
    "created_at": "2026-12-02T01:30:00.000000-00:00",
    "assignment": {"due_date": "2026-12-01T23:00:00.000000-00:00"},
    "users": [{"email": "anna@example.org", "id": 12, "name": "Anna Ö"}],
    "previous_submissions": [{"submission_time": "2026-11-30T09:00:00-00:00", "score": 0.0, "results": {}}],
}


def test_the_autograder_of_gradescope(surgeon: Surgeon, content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its archive is what Gradescope asks, and what it runs writes results that Gradescope takes."""
    made = surgeon("course", "autograder", tmp_path / "auto", "--course", content, "--exercise", "basics.attention")
    assert made.code == 0
    with zipfile.ZipFile(tmp_path / "auto.zip") as archive:
        infos = {info.filename: info for info in archive.infolist()}
    assert {"setup.sh", "run_autograder", "course_1/course.toml"} <= set(infos)
    assert all(infos[name].external_attr >> 16 & stat.S_IXUSR for name in ("setup.sh", "run_autograder"))
    root = tmp_path / "autograder"
    (root / "submission").mkdir(parents=True)
    (root / "source").symlink_to(tmp_path / "auto")
    (root / "submission/problem.py").write_text(RIGHT)  # alone, as a form for uploading takes it
    (root / "submission_metadata.json").write_text(json.dumps(METADATA))
    stand_in = tmp_path / "surgeon"
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n')
    stand_in.chmod(0o755)
    environment = os.environ | {"AUTOGRADER_ROOT": str(root), "SURGEON": str(stand_in)}
    subprocess.run([tmp_path / "auto/run_autograder"], env=environment, check=True, timeout=60)
    subprocess.run(["bash", "-n", tmp_path / "auto/setup.sh"], check=True, timeout=60)
    asked = (tmp_path / "asked").read_text().splitlines()
    monkeypatch.setattr("attention_surgeon.cli.grade.why_not", lambda: "not in this test.")
    graded = surgeon(*asked)
    assert graded.code == 0
    assert graded.err.startswith("no sandbox: not in this test. Submissions run as you;")
    found = check((root / "results/results.json").read_text(), "gradescope")
    assert (found["score"], found["extra_data"]["student"], found["extra_data"]["attempts"]) == (1, "12", 2)
    assert found["extra_data"]["late_hours"] == 2.5
    stand_in.write_text("#!/bin/sh\nexit 70\n")
    subprocess.run([tmp_path / "auto/run_autograder"], env=environment, check=True, timeout=60)
    assert check((root / "results/results.json").read_text(), "gradescope")["score"] == 0
    again = surgeon("course", "autograder", tmp_path / "auto", "--course", content)
    assert (again.code, "is there and not empty" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "xml"], "--format is 'xml', expected one of text, csv, json, otter, gradescope, prairielearn."),
        (["--format", "gradescope"], "gradescope has one file for each submission; --out FOLDER says where they go."),
        (["--seconds", "0"], "--seconds is 0, expected a number above 0."),
        (["--sandbox", "yes"], "--sandbox is 'yes', expected auto, on or off."),
        (["--sandbox", "off", "--due", "soon"], "the time is 'soon', expected one as 2026-12-01T23:59"),
    ],
)
def test_wrong_calls(options: list[str], message: str, surgeon: Surgeon, tmp_path: Path):
    done = surgeon("grade", tmp_path, tmp_path, *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_metadata_that_is_none(tmp_path: Path):
    (tmp_path / "submission_metadata.json").write_text("[]")
    with pytest.raises(SurgeonError, match=r"is not Gradescope's submission_metadata\.json"):
        read_roster(tmp_path / "submission_metadata.json")
