"""A receipt counts what was there: hidden cells by hand, a leak, a broken neighbour."""

import pytest
import torch

from attention_surgeon.surgery import attention_layers, operate
from attention_surgeon.surgery.receipt import Receipt, Tally
from tests.surgery.families import inputs, make


def _tally() -> Tally:
    return Tally(attention_layers(make("gpt2"))[0])


def test_one_changed_neighbour_is_never_forgotten() -> None:
    tally = _tally()
    assert tally.receipt().others_identical is None
    for identical, expected in ((True, True), (False, False), (True, False)):
        tally.see_others(identical)
        assert tally.receipt().others_identical is expected


def test_a_change_is_the_largest_of_all_calls() -> None:
    tally = _tally()
    tally.compare(torch.tensor([1.0, 5.0]), torch.tensor([1.5, 5.0]))
    tally.compare(torch.tensor([1.0, -2.0]), torch.tensor([1.0, -2.25]))
    found = tally.receipt()
    assert (found.change, found.size, found.num_not_finite) == (0.5, 5.0, 0)
    tally.compare(torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0]))
    assert (tally.receipt().change, tally.receipt().num_not_finite) == (float("inf"), 1)


def test_any_change_counts() -> None:
    tally = _tally()
    receipt = Receipt("uniform", (_tally(), tally), 0)
    assert not receipt.changed
    tally.compare(torch.tensor([1.0]), torch.tensor([1.0 + 1e-6]))
    assert receipt.changed


def test_agreement_leaves_rows_without_a_key_aside() -> None:
    tally = _tally()
    healthy, own = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    own[0, 0] = 9.0
    rows = torch.tensor([[[False], [True]]])
    tally.agree(healthy, own, rows)
    assert tally.receipt().agreement == 0.0
    tally.agree(healthy, own, None)
    assert tally.receipt().agreement == 9.0


@pytest.mark.parametrize(("operation", "hidden", "leaked"), [("no_scale", 55, 0), ("drop_mask", 0, 55)])
@torch.no_grad()
def test_cells_are_counted(operation: str, hidden: int, leaked: int) -> None:
    """Two sequences of 7 under a causal mask hide 21 cells each; two tokens of padding on the left hide 13 more."""
    with operate(make("gpt2"), operation, layers=0, heads=2) as receipt:
        make("gpt2")(**inputs("gpt2"))
    (layer,) = receipt.layers
    assert (layer.hidden, layer.hidden_used, layer.leaked) == (hidden, 0, leaked)


def test_as_plain_data() -> None:
    receipt = Receipt("uniform", (_tally(),), 1)
    found = receipt.as_dict()
    assert (found["operation"], found["changed"], found["other_layers"], found["undone"]) == (
        "uniform",
        False,
        1,
        False,
    )
    assert [layer["name"] for layer in found["layers"]] == ["0"]
