"""The types in which everything is said of somebody's attention: light, and the same after JSON."""

import dataclasses
import json

import numpy as np
import pytest

from attention_surgeon.course.verdict import ExerciseVerdict, exercise_verdict_from_dict
from attention_surgeon.diagnose import Diagnosis
from attention_surgeon.faults import catalogue, find_fault
from attention_surgeon.verdict import (
    Behaviour,
    Counterexample,
    Difference,
    Location,
    Mistake,
    Sighting,
    Verdict,
    verdict_from_dict,
)
from tests.test_public_names import HEAVY, loaded_after

SEEN = dataclasses.replace(find_fault("softmax_over_queries").words, seen=("columns sum to 1",))
WRONG = Verdict(
    "wrong",
    "attention",
    (SEEN,),
    explanations=((dataclasses.replace(SEEN, seen=()),), (find_fault("scale_missing").words,)),
    behaviour=(Behaviour(SEEN.name, "columns sum to 1"), Behaviour(None, "a remark", is_fault=False)),
    difference=Difference("weights", ("scores",), "plain", np.array([[np.nan, 0.5]]), np.array([[0.25, 0.75]])),
    counterexample=Counterexample("Q = ...", "output", "RuntimeError: no", np.array([1.0])),
    called_with="plain",
    calls=("plain", "masked"),
    kind=("causal attention",),
    untried=("cache",),
    location=Location("attention.py", 12, "weights = softmax(scores, 1)"),
    patch="--- attention.py\n+++ attention.py\n",
)
EXERCISE = ExerciseVerdict("a.b", "a/b.py", "f", "0", "", "mistake", found=WRONG, printed="x", seconds=0.5)


def through_json(data: dict) -> dict:
    return json.loads(json.dumps(data, allow_nan=False))


def test_it_loads_nothing_heavy():
    loaded = loaded_after("import attention_surgeon.verdict, attention_surgeon.course.verdict")
    assert loaded.isdisjoint({*HEAVY} - {"numpy"})


def test_a_verdict_comes_back_whole():
    again = verdict_from_dict(through_json(WRONG.as_dict()))
    assert again.as_dict() == WRONG.as_dict()
    plain = {"difference": None, "counterexample": None}
    assert dataclasses.replace(again, **plain) == dataclasses.replace(WRONG, **plain)
    assert again.difference is not None
    np.testing.assert_array_equal(again.difference.yours, WRONG.difference.yours)  # type: ignore[union-attr]


def test_where_only_the_step_is_known_there_are_no_numbers():
    again = verdict_from_dict(through_json(Verdict("wrong", difference=Difference("scores")).as_dict()))
    assert again.difference == Difference("scores")


def test_a_verdict_on_an_exercise_comes_back_with_the_same_fingerprint():
    again = exercise_verdict_from_dict(through_json(EXERCISE.as_dict()))
    assert (again.as_dict(), again.fingerprint) == (EXERCISE.as_dict(), EXERCISE.fingerprint)
    assert again.mistakes == (SEEN,)


@pytest.mark.parametrize(
    "other",
    [{"status": "passed"}, {"sentence": "else"}, {"found": dataclasses.replace(WRONG, difference=None)}],
)
def test_what_is_done_otherwise_has_another_fingerprint(other: dict):
    assert dataclasses.replace(EXERCISE, **other).fingerprint != EXERCISE.fingerprint


def test_a_record_of_before_keeps_its_mistakes():
    """As workspaces hold it that were begun before verdicts were one type."""
    before = {
        "exercise": "a.b", "path": "a/b.py", "object": "f", "sha256": "0", "saved": "", "status": "mistake",
        "mistakes": [{"name": "scale_missing", "stage": "scale", "sightings": ["o/n PR #7"], "seen": ["so"]}],
        "step": "scaled", "yours": [[1.0]], "expected": [[2.0]], "behaviour": "x", "seconds": 0.1,
    }  # fmt: skip
    again = exercise_verdict_from_dict(before)
    sightings = (Sighting("o/n", 7, "pull"),)
    assert again.mistakes == (Mistake("scale_missing", "scale", sightings=sightings, seen=("so",)),)
    assert (again.status, again.found.status, again.seconds) == ("mistake", "wrong", 0.1)


def test_every_sighting_is_read_as_it_is_cited():
    cited = [sighting for fault in catalogue() for sighting in fault.sightings]
    assert [Sighting.read(str(sighting)) for sighting in cited] == cited
    with pytest.raises(ValueError, match=r"^'somewhere' is no sighting, expected 'owner/name #7' or"):
        Sighting.read("somewhere")


def test_the_names_of_before_are_there_for_one_release():
    assert Diagnosis is Verdict
    assert (WRONG.verdict, WRONG.faults) == (WRONG.status, WRONG.mistakes)
