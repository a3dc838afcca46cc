"""What is said to have changed, and when the next level of a mistake is told."""

import dataclasses

import pytest

from attention_surgeon.course.since import beaten, next_level, since
from attention_surgeon.course.state import Standing
from attention_surgeon.course.verdict import ExerciseVerdict, Status
from attention_surgeon.verdict import Behaviour, Difference, Location, Mistake, Verdict

SCALE, MASK, AXIS = (
    Mistake("scale_missing", "scale"),
    Mistake("mask_ignored", "mask"),
    Mistake("softmax_over_queries", "normalise"),
)
OWN, OTHER_OWN = Mistake("places_not_tokens"), Mistake("first_row_only")
STEPS = ("scores", "scaled", "masked", "weights", "output")
OTHER_MASK = Mistake("mask_inverted", "mask")


def verdict(
    *mistakes: Mistake, status: Status | None = None, sha: str = "", step: str = "", seen: str = ""
) -> ExerciseVerdict:
    name = sha or "".join(mistake.name for mistake in mistakes) + step + seen
    chosen: Status = status or ("mistake" if mistakes or step else "passed")
    difference = Difference(step, STEPS[: STEPS.index(step)]) if step else None
    behaviour = (Behaviour(None, seen),) if seen else ()
    explained = (mistakes,) if mistakes else ()
    found = Verdict("wrong", mistakes=mistakes, explanations=explained, difference=difference, behaviour=behaviour)
    return ExerciseVerdict("a.b", "a/b.py", "f", name, "", chosen, found=found)


def crash(line: int) -> ExerciseVerdict:
    found = Verdict("unjudged", reason="NameError", location=Location("b.py", line, "x"))
    return ExerciseVerdict("a.b", "a/b.py", "f", f"line {line}", "", "stopped", f"line {line}", found=found)


CRASHED, OTHER_CRASH = crash(3), crash(5)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (verdict(SCALE, MASK), verdict(MASK), "the scale is right now; the mask remains"),
        (verdict(SCALE, MASK), verdict(SCALE), "the mask is right now; the scale remains"),
        (verdict(SCALE), verdict(MASK), "the scale is right now; the mask is wrong now"),
        (verdict(MASK), verdict(OTHER_MASK), "the mask is wrong in another way"),
        (
            verdict(SCALE, MASK, AXIS),
            verdict(AXIS),
            "the scale is right now; the mask is right now; the softmax remains",
        ),
        (verdict(SCALE), verdict(), "the scale is right now"),
        (verdict(), verdict(SCALE), "it was right before; u undoes"),
        (verdict(SCALE), verdict(SCALE, sha="saved again"), "nothing has changed in what it does"),
        (verdict(sha="1"), verdict(sha="2"), ""),
        (verdict(status="stopped", sha="1"), verdict(SCALE), "it runs now"),
        (verdict(status="untouched", sha="1"), verdict(SCALE), ""),
        (verdict(step="scores"), verdict(step="weights"), "the scores are right now"),
        (verdict(step="output"), verdict(step="scaled"), "the scaled scores are wrong now, and were not before"),
        (verdict(step="scores"), verdict(step="scores", seen="1"), ""),
        (verdict(SCALE), verdict(SCALE), ""),
        (verdict(OWN), verdict(OTHER_OWN), "`places_not_tokens` is gone; `first_row_only` is new"),
        (verdict(AXIS), verdict(step="output"), "it is wrong in another way now"),
        (verdict(AXIS, SCALE), verdict(SCALE, seen="something else"), "it is wrong in another way now"),
        (verdict(SCALE), CRASHED, "it ran before, and stops with an error now"),
        (verdict(), CRASHED, "it was right before, and stops with an error now; u undoes"),
        (CRASHED, OTHER_CRASH, "it stops with another error now"),
        (CRASHED, verdict(SCALE), "it runs now"),
        (CRASHED, verdict(seen="it raises in a call", status="mistake"), ""),
    ],
)
def test_since(before: ExerciseVerdict, now: ExerciseVerdict, said: str):
    assert since(before, now) == said


def test_nothing_before():
    assert since(None, verdict(SCALE)) == ""
    assert beaten(None, verdict(SCALE)) == []


def test_a_mistake_is_beaten_only_by_code_that_runs():
    assert beaten(verdict(SCALE, MASK), verdict(MASK)) == ["scale_missing"]
    assert beaten(verdict(SCALE), verdict(status="stopped", sha="1")) == []


def test_a_level_is_released_by_another_attempt_and_not_by_saving():
    asked = Standing(level=0)
    first = verdict(SCALE, seen="1")
    assert next_level(asked, None, first) == 0
    assert next_level(asked, first, dataclasses.replace(first, sha256="other blanks")) == 0
    assert next_level(asked, first, verdict(SCALE, seen="2")) == 1
    assert next_level(Standing(level=1), first, verdict(SCALE, seen="3")) == 1
    assert next_level(Standing(level=2), first, verdict(SCALE, MASK, seen="3")) == 2


def test_another_first_mistake_begins_at_its_question():
    assert next_level(Standing(level=2), verdict(SCALE, MASK), verdict(MASK)) == 0


def test_how_long_it_took_is_no_behaviour():
    one = verdict(SCALE)
    assert one.fingerprint == dataclasses.replace(one, seconds=2.0, saved="later", sha256="x").fingerprint
