"""The distance of the nearest two faults."""

import dataclasses

import pytest

from attention_surgeon.diagnose.doctor.examine import KindAnswers, nearest_faults
from attention_surgeon.diagnose.doctor.targets import find_kind
from attention_surgeon.faults import find_fault
from attention_surgeon.testing.answer import RELATIVE


def scaled_by(factor):
    def normalise(circuit):
        usual = circuit.mechanism.normalise
        return circuit.replace(normalise=lambda masked, operands: factor * usual(masked, operands))

    return dataclasses.replace(find_fault("softmax_missing").reworded(name=f"times {factor}"), operate=normalise)


def test_a_planted_pair_of_near_faults_is_found():
    ward = KindAnswers(find_kind("softmax"))
    ward.computed = [scaled_by(3.0), scaled_by(3.01), scaled_by(2.0), scaled_by(0.5)]
    found = nearest_faults(ward)
    assert found is not None
    assert {*found.faults} == {"times 3.0", "times 3.01"}
    assert found.distance == pytest.approx(0.01 / 3, rel=0.25)
    assert found.tolerance == RELATIVE


def test_the_same_function_twice_is_not_a_pair():
    ward = KindAnswers(find_kind("softmax"))
    ward.computed = [scaled_by(2.0), scaled_by(2.00001)]
    found = nearest_faults(ward)
    assert found is not None
    assert "right" in found.faults
