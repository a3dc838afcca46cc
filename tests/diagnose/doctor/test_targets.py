"""Patients: right without a fault, and with one they have that and nothing else."""

import inspect

import pytest
import torch

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor import KINDS, kinds_of, target_with
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import find_fault
from attention_surgeon.testing import CONTRACTS, make_contract

ALIASES = {"sdpa", "torch_mha", "kernel"}
"""Contracts whose patients are those of another: attention as a library calls it, and attention at more sizes."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_patient_without_a_fault_is_right(kind):
    assert diagnose(target_with(kind), kind.make_contract()).verdict == "right"


def test_there_is_a_patient_for_every_contract():
    assert {kind.contract for kind in KINDS} == CONTRACTS.keys() - ALIASES
    assert {kind.contract for kind in kinds_of(special=False)} == CONTRACTS.keys() - ALIASES - {"transformers"}


def test_kinds_have_names_of_their_own_and_each_contract_one_with_its_name():
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names))
    assert {kind.contract for kind in KINDS} <= {*names}


def test_two_faults_at_once():
    target = target_with("attention", map(find_fault, ("scale_missing", "softmax_over_queries")))
    Q, K, V = torch.randn(3, 5), torch.randn(7, 5), torch.randn(7, 2)
    output, weights = target(Q, K, V)
    expected = torch.softmax(Q @ K.T, dim=0)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(output, expected @ V)


@pytest.mark.parametrize("name", ["attention", "attention, NumPy", "causal_attention", "transformers"])
def test_a_wrapped_function_keeps_its_signature(name):
    bare, wrapped = (target_with(name, faults) for faults in ((), (find_fault("shares_state"),)))
    assert inspect.signature(wrapped) == inspect.signature(bare)


def test_a_wrapped_layer_is_called_as_before_and_its_input_is_what_changes():
    layer = target_with("multihead", [find_fault("mutates_inputs")])(15, 3, 3).eval()
    x = torch.ones(2, 7, 15)
    layer(x)
    torch.testing.assert_close(x, torch.full((2, 7, 15), 0.5))
    assert [*inspect.signature(layer.forward).parameters] == ["x", "mask"]


def test_dropout_is_made_up_for_unless_that_is_the_fault():
    torch.manual_seed(0)
    x = torch.randn(1, 5, 6).expand(4000, -1, -1)
    for faults, expected in (((), 1.0), ((find_fault("dropout_not_rescaled"),), 0.75)):
        layer = target_with("multihead", faults)(6, 2, 2, dropout=0.25)
        assert layer.train()(x)[1].sum(-1).mean().item() == pytest.approx(expected, abs=0.01)
        assert layer.eval()(x)[1].sum(-1).mean().item() == pytest.approx(1.0, abs=1e-5)


def test_no_such_kind_or_contract():
    with pytest.raises(OptionError) as caught:
        target_with("attentoin")
    assert str(caught.value) == f"there is no kind 'attentoin'; the kinds are {', '.join(k.name for k in KINDS)}."
    with pytest.raises(OptionError) as caught:
        kinds_of("sdpa")
    contracts = ", ".join(dict.fromkeys(kind.contract for kind in KINDS))
    assert str(caught.value) == f"the doctor knows no contract 'sdpa'; expected one of {contracts}."


def test_the_options_of_a_kind_are_those_of_its_contract():
    assert all(kind.make_contract() == make_contract(kind.contract, **kind.options) for kind in KINDS)
