import math

import pytest
import torch
from torch import Tensor

from attention_surgeon.ops import (
    STEP_NAMES,
    Mechanism,
    Operands,
    add_bias_and_hide,
    add_to_scores,
    attention,
    check_operands,
    leave_unscaled,
    multiply_by,
)
from tests.ops.probes import D_K, N_K, N_Q, additive, draw, qkv, ragged

MASKS = [None, ragged(), additive(ragged()), draw(N_Q, N_K, seed=8), ragged().int()]


@pytest.mark.parametrize("mask", MASKS, ids=["none", "bool", "additive", "bias", "int"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_mechanism_is_attention_bit_for_bit(mask: Tensor | None, dtype: torch.dtype):
    tensors = qkv(dtype=dtype)
    for ours, oracle in zip(Mechanism()(*tensors, mask), attention(*tensors, mask), strict=True):
        assert torch.equal(ours, oracle)
    unscaled = Mechanism(scale=leave_unscaled)(*tensors, mask)
    for ours, oracle in zip(unscaled, attention(*tensors, mask, scale=False), strict=True):
        assert torch.equal(ours, oracle)


def test_the_steps_are_the_five_of_the_formula():
    operands = check_operands(*qkv(), ragged())
    steps = Mechanism().steps(operands)
    scores = operands.query @ operands.key.mT
    assert torch.equal(steps.scores, scores)
    assert torch.equal(steps.scaled, scores / math.sqrt(D_K))
    assert torch.equal(steps.masked, (scores / math.sqrt(D_K)).masked_fill(~ragged(), -math.inf))
    assert torch.allclose(steps.weights, torch.softmax(steps.masked, -1).nan_to_num(0.0), rtol=0, atol=1e-15)
    assert torch.equal(steps.output, steps.weights @ operands.value)


@pytest.mark.parametrize("name", STEP_NAMES)
def test_a_replaced_step_changes_its_own_result_and_nothing_before_it(name: str):
    def score(operands: Operands) -> Tensor:
        return (operands.query @ operands.key.mT) + 0.5 * torch.arange(N_K)

    def later(given: Tensor, operands: Operands) -> Tensor:
        return getattr(Mechanism(), name)(given, operands) * 0.75

    operands = check_operands(*qkv(), ragged())
    healthy = Mechanism().steps(operands)
    operated = Mechanism().replace(**{name: score if name == "score" else later}).steps(operands)
    changed = [not torch.equal(a, b) for a, b in zip(healthy, operated, strict=True)]
    assert changed.index(True) == STEP_NAMES.index(name)


def test_replace_leaves_the_original_alone():
    healthy = Mechanism()
    operated = healthy.replace(scale=leave_unscaled)
    assert healthy == Mechanism()
    assert operated == Mechanism(scale=leave_unscaled)
    assert operated.step_names()["scale"] == "leave_unscaled"
    assert Mechanism(scale=multiply_by(0.5)).step_names() == {
        "score": "dot_product",
        "scale": "multiply_by(0.5)",
        "mask": "add_bias_and_hide",
        "normalise": "softmax_over_keys",
        "combine": "weighted_sum",
    }


def test_a_step_that_is_an_object_is_named_too():
    class Halve:
        def __call__(self, scores: Tensor, operands: Operands) -> Tensor:
            return scores / 2

        def __repr__(self) -> str:
            return "Halve()"

    assert Mechanism(scale=Halve()).step_names()["scale"] == "Halve()"


def test_add_to_scores_adds_what_a_mask_argument_refuses():
    plus = (draw(N_Q, N_K, seed=9) > 0).double()
    Q, K, V = qkv()
    expected = attention(Q, K, V, plus - 1e-300 + 0.0 * plus + 2.0)[1]  # a constant more changes no softmax
    assert torch.allclose(Mechanism(mask=add_to_scores(plus))(Q, K, V)[1], expected, rtol=0, atol=1e-15)
    hidden = Mechanism(mask=add_to_scores(plus))(Q, K, V, ragged())[1]
    assert (hidden[~ragged()] == 0).all()


def test_operands_tell_a_step_what_it_may_need():
    operands = check_operands(*qkv(dtype=torch.float32), ragged(), model_size=33)
    assert (operands.key_size, operands.model_size, operands.dtype) == (D_K, 33, torch.float32)
    assert operands.query.dtype == torch.float64
    assert operands.bias is None
    assert torch.equal(add_bias_and_hide(torch.zeros(2, 3, N_Q, N_K), operands) == 0, ragged())
