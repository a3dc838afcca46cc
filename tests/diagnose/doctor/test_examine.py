"""One question put to the diagnosis: what is called named, and what is not."""

import dataclasses

import pytest
import torch

from attention_surgeon.diagnose.doctor.examine import (
    answers_of_kind,
    are_same,
    drawn_pairs,
    examine_alternative,
    examine_pair,
    examine_single,
)
from attention_surgeon.diagnose.doctor.healthy import Alternative
from attention_surgeon.faults import Fault, find_fault


def planted(operate) -> Fault:
    """A fault that the catalogue does not have, under a name of its own."""
    return dataclasses.replace(find_fault("scale_missing").reworded(name="planted"), operate=operate)


def strange() -> Fault:
    """A normaliser that nobody writes."""
    return planted(lambda circuit: circuit.replace(normalise=lambda masked, operands: masked.sin()))


def pair(*names):
    return tuple(map(find_fault, names))


def test_a_fault_is_named():
    outcome = examine_single("attention", find_fault("scale_missing"))
    assert (outcome.result, outcome.said, outcome.is_fine) == ("named", "", True)


def test_a_tie_says_with_what():
    outcome = examine_single("attention", find_fault("scale_twice"))
    assert (outcome.result, outcome.is_fine) == ("tied", True)
    assert "scale_by_key_size" in outcome.said


def test_a_fault_that_nobody_knows_is_not_named():
    outcome = examine_single("softmax", strange())
    assert (outcome.result, outcome.said, outcome.is_fine) == ("unnamed", "wrong, not recognised", False)


def test_a_fault_that_goes_by_another_name_is_not_named():
    outcome = examine_single("softmax", planted(find_fault("softmax_base_two").operate))
    assert (outcome.result, outcome.said) == ("unnamed", "softmax_base_two")


def test_a_fault_that_changes_nothing_is_none():
    assert examine_single("attention", planted(lambda circuit: circuit)).result == "same"


def test_a_fault_of_behaviour_that_is_not_seen_is_a_failure_though_no_call_differs():
    unseen = dataclasses.replace(find_fault("mutates_inputs"), wrap=lambda function: lambda x: function(x))
    outcome = examine_single("softmax", unseen)
    assert (outcome.result, outcome.said, outcome.is_fine) == ("accepted", "right", False)


def test_what_raises_in_every_call_has_no_name():
    def fail(scores, operands):
        raise RuntimeError("no")

    outcome = examine_single("softmax", planted(lambda circuit: circuit.replace(normalise=fail)))
    assert outcome.result == "raises"


def test_a_pair_is_named():
    assert examine_pair("statistics", pair("entropy_in_bits", "entropy_over_queries")).result in ("named", "tied")


def test_a_pair_that_is_one_fault_cannot_be_told_from_it():
    nothing = planted(lambda circuit: circuit)
    assert examine_pair("attention", (find_fault("scale_missing"), nothing)).result == "same"


def test_a_pair_that_raises_in_every_call_has_no_name():
    def fail(scores, operands):
        raise RuntimeError("no")

    failing = planted(lambda circuit: circuit.replace(normalise=fail))
    assert examine_pair("softmax", (find_fault("weights_divided_by_num_keys"), failing)).result == "raises"


def test_a_diagnosis_that_crashes_is_a_failure():
    def fail(circuit):
        raise ZeroDivisionError("ours")

    outcome = examine_single("softmax", planted(fail))
    assert (outcome.result, outcome.is_fine) == ("crashed", False)
    assert outcome.said == "the diagnosis raises ZeroDivisionError: ours"


def test_a_pair_that_nobody_knows_is_not_named():
    outcome = examine_pair("softmax", (strange(), find_fault("weights_divided_by_num_keys")))
    assert (outcome.result, outcome.said, outcome.is_fine) == ("unnamed", "wrong, not recognised", False)


def test_right_code_is_accepted_and_wrong_code_is_not():
    right = Alternative("softmax", "torch", lambda x: torch.softmax(x, dim=-1))
    wrong = Alternative("softmax", "the first axis", lambda x: torch.softmax(x, dim=0))
    assert examine_alternative(right).is_fine
    outcome = examine_alternative(wrong)
    assert (outcome.result, outcome.is_fine) == ("rejected", False)
    assert "softmax_over" in outcome.said


def test_code_that_cannot_be_judged_is_not_accepted():
    outcome = examine_alternative(Alternative("softmax", "three inputs", lambda x, y, z: x))
    assert outcome.result == "rejected"
    assert outcome.said.startswith("not judged: it needs the argument 'y'")


def test_a_fault_that_no_call_shows_is_either_none_or_must_be_seen_otherwise():
    own = answers_of_kind("attention")
    assert all(are_same(own.answers(pair(name)), own.right) for name in ("mask_before_scale", "nan_rows"))
    assert examine_single("attention", find_fault("mask_before_scale")).result == "same"
    assert examine_single("attention", find_fault("nan_rows")).result == "named"


@pytest.mark.parametrize("number", [0, 5, 100_000, None])
def test_pairs_are_drawn_alike_each_time(number):
    names = [[fault.name for fault in some] for some in drawn_pairs("softmax", number)]
    assert names == [[fault.name for fault in some] for some in drawn_pairs("softmax", number)]
    assert len(names) == min(
        len(answers_of_kind("softmax").pairs), len(answers_of_kind("softmax").pairs) if number is None else number
    )
