"""Whatever a learner's file does, there is a sentence, and the judge is there for the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

from attention_surgeon.course import Course
from attention_surgeon.course.asking import Allowance, judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.objects import digest
from attention_surgeon.course.verdict import ExerciseVerdict
from tests.course.hostile import RIGHT, SUBMISSIONS, Submission

SHORT = Allowance(seconds=1.5, memory_bytes=2**29, output_bytes=2**20)
PATIENT = Allowance(seconds=20.0, memory_bytes=2**29, output_bytes=2**20)


def judged(text: str, judge: Judge, course: Course, folder: Path, allowance: Allowance = PATIENT) -> ExerciseVerdict:
    file = folder / "problem.py"
    file.write_text(text, encoding="utf-8")
    return judge_file(judge, course.exercise("basics.attention"), file, "problem.py", allowance)


@pytest.mark.parametrize("submission", SUBMISSIONS, ids=lambda submission: submission.name)
def test_a_sentence_for_each(submission: Submission, judge: Judge, course: Course, tmp_path: Path):
    is_endless = "loop" in submission.name or "flood" in submission.name
    found = judged(submission.text, judge, course, tmp_path, SHORT if is_endless else PATIENT)
    assert found.status == submission.status
    if submission.sentence.endswith("…"):
        assert found.sentence.startswith(submission.sentence[:-1])
    else:
        assert found.sentence == submission.sentence
    if submission.remark:
        assert found.found.remarks == (submission.remark,)
    if submission.mistake:
        assert found.names == (submission.mistake,)


def test_the_judge_is_there_after_all_that(judge: Judge, course: Course, tmp_path: Path):
    assert judged(RIGHT, judge, course, tmp_path).status == "passed"


def test_there_are_many():
    assert len(SUBMISSIONS) >= 25
    assert len({submission.name for submission in SUBMISSIONS}) == len(SUBMISSIONS)


def test_the_verdict_names_the_very_bytes(judge: Judge, course: Course, tmp_path: Path):
    """A file that is saved again while it is judged: the hash is that of what was run."""
    other = RIGHT.replace("scores, dim=-1", "scores, dim=-2")
    text = f"open(__file__, 'w').write({other!r})\n{RIGHT}"
    found = judged(text, judge, course, tmp_path)
    assert found.status == "passed"
    assert found.sha256 == digest(text.encode())


def test_nothing_of_the_judge_is_loaded_here():
    """Asking needs no torch; only tests that judge in this process load it."""
    code = "import sys, attention_surgeon.course.session, attention_surgeon.course.start; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
