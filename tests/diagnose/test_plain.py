"""A diagnosis comes back from JSON as it was."""

import dataclasses
import json

import numpy as np
import pytest

from attention_surgeon.faults import find_fault
from attention_surgeon.verdict import Verdict, verdict_from_dict
from tests.cli.judged import DIAGNOSES, DIFFERENCE, EXAMPLE, wrong


def through_json(diagnosis: Verdict) -> Verdict:
    return verdict_from_dict(json.loads(json.dumps(diagnosis.as_dict(), allow_nan=False)))


@pytest.mark.parametrize("name", DIAGNOSES)
def test_it_comes_back(name: str):
    diagnosis = DIAGNOSES[name].diagnosis
    again = through_json(diagnosis)
    assert again.as_dict() == diagnosis.as_dict()
    assert again.explanations == diagnosis.explanations
    assert again.faults == diagnosis.faults
    assert again.behaviour == diagnosis.behaviour


def test_nan_and_infinity_come_back():
    yours = np.array([[np.nan, np.inf, -np.inf, 0.5]])
    again = through_json(wrong(difference=dataclasses.replace(DIFFERENCE, yours=yours)))
    assert again.difference is not None
    np.testing.assert_array_equal(again.difference.yours, yours)


def test_a_number_and_a_row_come_back():
    for yours in (np.array(0.25), np.array([0.25, -1.0])):
        again = through_json(wrong(counterexample=dataclasses.replace(EXAMPLE, yours=yours)))
        assert again.counterexample is not None
        assert isinstance(again.counterexample.yours, np.ndarray)
        np.testing.assert_array_equal(again.counterexample.yours, yours)


def test_what_was_read_off_stays_in_the_sentence():
    fault = find_fault("scale_hard_coded").reworded(summary="The scores are divided by 8.")
    (again,) = through_json(wrong(explanations=((fault,),))).faults
    assert again == fault.words
