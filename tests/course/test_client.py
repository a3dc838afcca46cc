"""The warm judge: it prepares while it answers, takes its own place, and leaves nothing behind."""

import os
import time
from pathlib import Path

import pytest

from attention_surgeon.course import Course
from attention_surgeon.course.asking import judge_file, request_for
from attention_surgeon.course.client import Judge
from tests.course.hostile import RIGHT


def in_group(leader: int) -> list[int]:
    """Return the processes of a group that are running."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "problem.py").write_text(RIGHT)
    return tmp_path / "problem.py"


def test_a_copy_takes_over_and_nobody_notices(course: Course, file: Path):
    exercise = course.exercise("basics.attention")
    with Judge() as judge:
        judge.wait()
        first = in_group(judge.pid)
        judge.prepare(request_for(exercise, file) | {"contract": "softmax", "options": {}})
        deadline = time.monotonic() + 30
        while first[0] in in_group(judge.pid):
            assert judge_file(judge, exercise, file, "problem.py").status == "passed"
            assert time.monotonic() < deadline
        assert judge_file(judge, exercise, file, "problem.py").status == "passed"
        group = judge.pid
        assert len(in_group(group)) == 1
    deadline = time.monotonic() + 10
    while in_group(group):
        assert time.monotonic() < deadline


def test_what_cannot_be_prepared_does_no_harm(course: Course, file: Path):
    exercise = course.exercise("basics.attention")
    with Judge() as judge:
        judge.prepare(
            request_for(exercise, file) | {"check": "x", "checks": "/nowhere.py", "imports": ["nothing_there"]}
        )
        judge.prepare(request_for(exercise, file) | {"contract": "no such contract"})
        assert judge_file(judge, exercise, file, "problem.py").status == "passed"


def test_a_judge_that_was_killed_while_nobody_asked(course: Course, file: Path):
    exercise = course.exercise("basics.attention")
    with Judge() as judge:
        judge.wait()
        os.kill(judge.pid, 9)
        while in_group(judge.pid):
            time.sleep(0.01)
        assert judge_file(judge, exercise, file, "problem.py").status == "passed"
