"""The report: what is counted, and that every threshold can fail."""

import dataclasses
import json

import pytest

from attention_surgeon.diagnose.doctor import Nearest, Outcome, Report


def outcome(group="single", result="named", kind="attention", target=("scale_missing",), said=""):
    return Outcome(kind, group, target, result, said)


def report(*outcomes, **parts):
    return Report(outcomes, (("attention", 9),), (Nearest("attention", ("a", "right"), 3e-3, 2e-4),), 1.25, **parts)


PAIRS = [outcome("pair", target=("a", str(number))) for number in range(19)]


def test_everything_is_counted():
    found = report(
        outcome(),
        outcome(result="tied", said="a / b"),
        outcome(result="same"),
        outcome(result="raises"),
        outcome(result="unnamed"),
        outcome(result="accepted"),
        *PAIRS,
        outcome("pair", "unnamed"),
        outcome("pair", "same"),
        outcome("valid", "accepted"),
        outcome("valid", "rejected"),
    )
    (tally,) = found.tallies
    assert (tally.rejected, tally.singles, tally.named, tally.nameable, tally.ties) == (4, 5, 2, 4, 1)
    assert (tally.pairs_named, tally.pairs, tally.pairs_in_all) == (19, 20, 9)
    assert (tally.accepted, tally.valid) == (1, 2)
    assert dataclasses.replace(found.total, kind="attention") == tally
    assert [failure.result for failure in found.failures] == ["unnamed", "accepted", "unnamed", "rejected"]


@pytest.mark.parametrize(
    ("more", "is_passed"),
    [
        ([], True),
        ([outcome(result="tied")], True),
        ([outcome(result="unnamed")], False),
        ([outcome(result="accepted")], False),
        ([outcome("valid", "rejected")], False),
        ([*PAIRS, outcome("pair", "unnamed")], True),
        ([*PAIRS[:-1], outcome("pair", "unnamed")], False),
        ([*PAIRS, *PAIRS, outcome("pair", "unnamed", kind="simple")], False),  # of each kind, not of all together
    ],
)
def test_the_thresholds(more, is_passed):
    assert report(outcome(), outcome("valid", "accepted"), *more).is_passed == is_passed


def test_a_fault_that_is_named_nowhere_is_a_failure():
    assert not report(outcome(), never_named=("scale_twice",)).is_passed


def test_it_is_plain_data():
    found = report(
        outcome(), outcome(result="tied", said="a / b"), outcome(result="same"), outcome("valid", "rejected")
    )
    data = json.loads(json.dumps(found.as_dict()))
    assert (data["passed"], data["seconds"], data["nearest"][0]["distance"]) == (False, 1.25, 3e-3)
    assert [row["result"] for row in data["ties"]] == ["tied"]
    assert [row["result"] for row in data["nothing_to_name"]] == ["same"]
    assert [row["group"] for row in data["failures"]] == ["valid"]
