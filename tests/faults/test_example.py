"""Every fault that changes a number has an example that shows it."""

import pytest
import torch

from attention_surgeon.faults import Fault, catalogue, find_fault
from attention_surgeon.faults.example import Example, drawn_example
from attention_surgeon.faults.parts import SINK

WITHOUT = {fault.name for fault in catalogue() if fault.operate is None} | {
    "cuts_gradient",
    "entropy_over_queries",  # of square weights the two means have the same sum
}
DRAWN = [fault for fault in catalogue() if fault.name not in WITHOUT]


def example_of(name: str) -> Example:
    example = drawn_example(find_fault(name))
    assert example is not None
    return example


@pytest.mark.parametrize("fault", DRAWN, ids=lambda fault: fault.name)
def test_the_example_shows_the_fault(fault: Fault):
    example = drawn_example(fault)
    assert example is not None
    assert example.healthy.isfinite().all()
    assert tuple(example.healthy.shape) == (len(example.rows), len(example.columns))
    assert example.healthy.shape != example.faulty.shape or not torch.equal(example.healthy, example.faulty)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_what_changes_no_number_has_none(name: str):
    assert drawn_example(find_fault(name)) is None


@pytest.mark.parametrize(
    "fault", [fault for fault in DRAWN if fault.stage != "statistics"], ids=lambda fault: fault.name
)
def test_what_is_right_is_right(fault: Fault):
    example = drawn_example(fault)
    assert example is not None
    if example.what == "weights":
        rows = example.healthy.sum(-1)
        if fault.needs is SINK:  # which takes its share
            assert ((rows > 0.0) & (rows < 1.0)).all()
            return
        assert all(row == pytest.approx(1.0) or row == 0.0 for row in rows.tolist())


def test_the_same_example_every_time():
    for name in ("dropout_in_eval", "scale_missing"):
        torch.manual_seed(1)
        first = example_of(name)
        torch.manual_seed(2)
        assert torch.equal(first.faulty, example_of(name).faulty)


def test_drawing_leaves_the_callers_dice_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    example_of("dropout_in_eval")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("scale_missing", "five tokens"),
        ("mask_ignored", "five tokens, the future hidden by a mask"),
        ("mask_hides_queries", "five tokens, the last two of them padding"),
        ("heads_tiled", "a layer with four heads that share two"),
        ("context_ignored", "a layer of cross-attention"),
        ("softmax_no_max_subtraction", "huge scores"),
        ("nan_rows", "a mask that hides every key from the first query"),
        ("padding_off_by_one", "five tokens, the last two of them padding"),
        ("causal_aligned_at_end", "causal attention, the first three queries"),
    ],
)
def test_each_kind_is_shown_in_a_call_of_its_own(name: str, call: str):
    assert example_of(name).call == call


def test_by_hand_an_inverted_causal_mask_sees_the_future_only():
    example = example_of("mask_inverted")
    assert torch.equal(example.faulty.tril(), torch.zeros(5, 5, dtype=torch.float64))
    assert example.faulty[0, 1:].sum() == pytest.approx(1.0)
