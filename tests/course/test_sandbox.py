"""What a submission that means harm reaches: nothing. The next one is judged as if it had not been there."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from attention_surgeon.course import Course, sandbox
from attention_surgeon.course.asking import Allowance, judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.sandbox import Confinement, why_not
from attention_surgeon.course.staging import staged
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.errors import OptionError
from tests.course.hostile import RIGHT
from tests.course.malicious import MALICIOUS, Malicious

ALLOWANCE = Allowance(60.0, 2**29, 2**20, cpu_seconds=1.5)
needs_landlock = pytest.mark.skipif(bool(why_not()), reason=f"nothing can be confined here: {why_not()}")


class Around(NamedTuple):
    """What stands around a confined judge, as the submissions know it."""

    judge: Judge
    course: Course
    places: dict[str, object]

    def judged(self, text: str) -> ExerciseVerdict:
        exercise = self.course.exercise("basics.attention")
        with staged(self.course, {exercise.path: text.encode()}, self.judge.scratch) as root:
            return judge_file(self.judge, exercise, root / exercise.path, "problem.py", ALLOWANCE)


@pytest.fixture(scope="module")
def around(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    os.environ["TEACHERS_TOKEN"] = "the token"
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "secret").write_text("the key")
    basics = course.unit("basics").content
    with socket.create_server(("127.0.0.1", 0)) as server, Judge(Confinement(course.folders)) as judge:
        server.settimeout(0.0)
        yield Around(
            judge,
            course,
            {
                "secret": folder / "secret",
                "solution": basics / "solution/problem.py",
                "checks": basics / "checks.py",
                "elsewhere": folder,
                "port": server.getsockname()[1],
                "grader": os.getpid(),
            },
        )
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()
    del os.environ["TEACHERS_TOKEN"]


@needs_landlock
@pytest.mark.parametrize("one", MALICIOUS, ids=lambda one: one.name)
def test_it_is_contained(one: Malicious, around: Around):
    found = around.judged(one.text(**around.places))
    assert (found.status, found.sentence[: len(one.sentence)]) == (one.status, one.sentence)
    assert "REACHED" not in found.printed
    assert ("refused" in found.printed) == (one.status == "passed")
    folder = Path(str(around.places["elsewhere"]))
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("secret", "the key")]


@needs_landlock
def test_what_they_left_running_has_ended(around: Around):
    """The next verdict is right, and below the judge there is no other process."""
    assert around.judged(RIGHT).status == "passed"
    assert around.judge.pid is not None
    assert not [pid for pid in sandbox._children(around.judge.pid) if not sandbox._is_dead(pid)]


@needs_landlock
def test_without_it_the_same_reach_a_lot(around: Around, judge: Judge, tmp_path: Path):
    """The submissions can fail to be refused: not confined, they read the key and the solution."""
    file = tmp_path / "problem.py"
    for one in MALICIOUS[:2]:
        file.write_text(one.text(**around.places))
        found = judge_file(judge, around.course.exercise("basics.attention"), file, "problem.py")
        assert "REACHED the key" in found.printed


def test_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sandlock", None)
    assert "the package sandlock is missing" in why_not()
    with pytest.raises(OptionError, match="a submission cannot be confined here: the package sandlock is missing"):
        Confinement([])


def test_what_is_hidden_is_cut_out(tmp_path: Path):
    for name in ("a/b/course/solution.py", "a/b/other.py", "a/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    kept = sandbox._without([tmp_path / "a", tmp_path / "a/b/course"], [tmp_path / "a/b/course"])
    assert kept == [tmp_path / "a/b/other.py", tmp_path / "a/c.py"]


def test_processor_time_does_not_pass_while_it_sleeps():
    """A quarter of a second asleep is not a tenth of a second of work."""
    from attention_surgeon.diagnose.child import Limits, run_in_child

    limits = Limits(seconds=30, cpu_seconds=0.1)
    assert run_in_child(lambda: time.sleep(0.25), limits=limits, start="fork").ended == "finished"
    busy = run_in_child(lambda: sum(iter(int, 1)), limits=limits, start="fork")
    assert busy.ended == "timed_out"
    assert busy.sentence.startswith("the code was stopped after 0.1 s of processor time")


def test_many():
    assert len(MALICIOUS) >= 20
    assert len({one.name for one in MALICIOUS}) == len(MALICIOUS)
