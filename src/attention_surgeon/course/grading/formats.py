"""The grades of a class as other tools take them.

| format | for | one file is | described in |
|---|---|---|---|
| `csv` | a spreadsheet | the class: a row an exercise, and one with the total | docs/teach.md |
| `json` | programs | the class, with everything that is known | docs/teach.md |
| `gradescope` | `results.json` | one submission | gradescope-autograders.readthedocs.io, Output format |
| `prairielearn` | `results.json` | one submission | PrairieLearn's docs, External grading, Grading results |
| `otter` | `final_grades.csv` | the class: a row a submission, below one of points | otter-grader, `otter grade` |
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from attention_surgeon.course.grading.grade import Grade, Submission

_FORMAT, _VERSION = "attention-surgeon grades", 3

_COLUMNS = (
    "student",
    "name",
    "submission",
    "exercise",
    "status",
    "points",
    "max_points",
    "late_hours",
    "attempts",
    "mistakes",
    "sentence",
    "sha256",
    "saved",
    "seconds",
)

_NO_STATUS = "--"  # otter's word in the row of points

OfClass: TypeAlias = Callable[[Sequence[Submission]], str]
OfOne: TypeAlias = Callable[[Submission], str]


def as_csv(submissions: Sequence[Submission]) -> str:
    """Return a table: a row for each exercise, and below those of one submission its total."""
    return _table(_COLUMNS, [row for each in submissions for row in (*map(_row(each), each.grades), _total(each))])


def as_json(submissions: Sequence[Submission]) -> str:
    """Return everything that is known, as JSON."""
    plain = [
        {
            **_about(each),
            "late_hours": _hours(each.late),
            "grades": [_plain(grade) for grade in each.grades],
        }
        for each in submissions
    ]
    return json.dumps({"format": _FORMAT, "version": _VERSION, "submissions": plain}) + "\n"


def as_gradescope(submission: Submission) -> str:
    """Return the `results.json` of Gradescope's autograders."""
    tests = [
        {
            "name": each.exercise.title,
            "number": f"{number}",
            "score": each.points,
            "max_score": each.exercise.points,
            "status": "passed" if each.is_shown else "failed",
            "output": _feedback(each),
            "output_format": "text",
            "tags": [each.exercise.unit],
            "visibility": "visible",
            "extra_data": {"exercise": each.exercise.name, "status": each.status, "mistakes": list(each.names)},
        }
        for number, each in enumerate(submission.grades, start=1)
    ]
    document = {
        "score": submission.points,
        "execution_time": round(_seconds(submission)),
        "output": told(submission),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": _about(submission) | {"late_hours": _hours(submission.late)},
        "tests": tests,
    }
    return json.dumps(document, indent=1) + "\n"


def as_prairielearn(submission: Submission) -> str:
    """Return the `results.json` of PrairieLearn's external graders; without any file it is not gradable."""
    missing = [each.sentence for each in submission.grades if each.status == "missing"]
    if len(missing) == len(submission.grades):
        return json.dumps({"gradable": False, "format_errors": missing}, indent=1) + "\n"
    tests = [
        {
            "name": each.exercise.title,
            "description": f"{each.exercise.object} in {each.exercise.path}: {each.exercise.shapes}",
            "points": each.points,
            "max_points": each.exercise.points,
            "message": _feedback(each),
            "output": "" if each.verdict is None else each.verdict.printed,
        }
        for each in submission.grades
    ]
    document = {
        "gradable": True,
        "score": _share(submission),
        "message": told(submission),
        "output": "",
        "tests": tests,
    }
    return json.dumps(document, indent=1) + "\n"


def as_otter(submissions: Sequence[Submission]) -> str:
    """Return the `final_grades.csv` of `otter grade`: the points of each question first, then the submissions."""
    if not submissions:
        return ""
    questions = sorted(each.exercise.name for each in submissions[0].grades)
    columns = ("file", *questions, "total_points_earned", "percent_correct", "grading_status")
    possible = {each.exercise.name: each.exercise.points for each in submissions[0].grades}
    rows: list[Mapping[str, Any]] = [
        {
            "file": "points-per-question",
            **possible,
            "total_points_earned": sum(possible.values()),
            "percent_correct": 1.0,
            "grading_status": _NO_STATUS,
        }
    ]
    rows += [
        {
            "file": each.handed.student.id,
            **{grade.exercise.name: grade.points for grade in each.grades},
            "total_points_earned": each.points,
            "percent_correct": round(_share(each), 4),
            "grading_status": "Completed",
        }
        for each in sorted(submissions, key=lambda one: one.handed.student.id)
    ]
    return _table(columns, rows)


OF_CLASS: Mapping[str, OfClass] = {"csv": as_csv, "json": as_json, "otter": as_otter}
"""Formats of which one file is a whole class."""

OF_ONE: Mapping[str, OfOne] = {"gradescope": as_gradescope, "prairielearn": as_prairielearn}
"""Formats of which one file is one submission."""


def told(submission: Submission) -> str:
    """Return how a submission stands, as one sentence."""
    passed = sum(each.status == "passed" for each in submission.grades)
    covered = sum(each.status == "covered" for each in submission.grades)
    parts = [
        f"{submission.points} of {submission.max_points} points",
        f"{passed} of {len(submission.grades)} exercises passed" + (f", {covered} covered by them" if covered else ""),
    ]
    if submission.late:
        parts.append(late_in_words(submission.late))
    if submission.attempts is not None:
        parts.append(f"{submission.attempts} attempt{'' if submission.attempts == 1 else 's'}")
    return ", ".join(parts) + "."


def _feedback(each: Grade) -> str:
    """Return what a learner reads: what happened and the question, not the code that would mend it."""
    first = each.verdict.mistakes[0] if each.verdict is not None and each.verdict.mistakes else None
    return each.sentence if first is None or not first.question else f"{each.sentence}\n{first.question}"


def _about(submission: Submission) -> dict[str, Any]:
    submitted = submission.handed.submitted
    return {
        "student": submission.handed.student.id,
        "name": submission.handed.student.name,
        "email": submission.handed.student.email,
        "submission": submission.folder,
        "submitted": "" if submitted is None else submitted.isoformat(timespec="seconds"),
        "points": submission.points,
        "max_points": submission.max_points,
        "attempts": submission.attempts,
    }


def _plain(each: Grade) -> dict[str, Any]:
    verdict = {} if each.verdict is None else each.verdict.as_dict()
    return verdict | {
        "exercise": each.exercise.name,
        "status": each.status,
        "points": each.points,
        "max_points": each.exercise.points,
        "attempts": each.attempts,
        "late_hours": _hours(each.late),
        "sentence": each.sentence,
    }


def _row(submission: Submission) -> Callable[[Grade], dict[str, Any]]:
    student = submission.handed.student
    who = {"student": student.id, "name": student.name, "submission": submission.folder}

    def row(each: Grade) -> dict[str, Any]:
        return who | _plain(each) | {"mistakes": " ".join(each.names)}

    return row


def _total(submission: Submission) -> dict[str, Any]:
    """Return the row of a submission as a whole."""
    own = {"exercise": "total", "status": "", "late_hours": _hours(submission.late), "sentence": told(submission)}
    return _about(submission) | own | {"seconds": round(_seconds(submission), 3)}


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_unformulated(row.get(column, "")) for column in columns])
    return text.getvalue()


def _unformulated(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: the names of folders are the learners'."""
    if value is None or value == _NO_STATUS:
        return value
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def _share(submission: Submission) -> float:
    """Return which part of all points was reached, from 0 to 1; where nothing counts, which part was passed."""
    if submission.max_points:
        return submission.points / submission.max_points
    passed = [each.is_shown for each in submission.grades]
    return sum(passed) / len(passed) if passed else 0.0


def _seconds(submission: Submission) -> float:
    return sum((each.verdict.seconds for each in submission.grades if each.verdict is not None), 0.0)


def late_in_words(late: timedelta) -> str:
    """Return by how many hours something came too late."""
    return f"{round(_hours(late), 1):g} hours late"


def _hours(late: timedelta) -> float:
    return round(late.total_seconds() / 3600, 2)
