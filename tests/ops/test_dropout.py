import pytest
import torch
from torch.nn import functional as F

from attention_surgeon.ops import Mechanism, attention, attention_dropout, softmax_with_dropout
from tests.ops.probes import draw, qkv, ragged


def test_survivors_are_enlarged_and_the_mean_stays():
    weights = torch.full((200, 500), 0.25)
    dropped = attention_dropout(weights, 0.2, torch.Generator().manual_seed(0))
    assert sorted(dropped.unique().tolist()) == [0.0, pytest.approx(0.25 / 0.8)]
    share = (dropped == 0).float().mean().item()
    assert share == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 100_000) ** 0.5)


def test_nothing_and_everything():
    weights = torch.rand(3, 5)
    assert torch.equal(attention_dropout(weights, 0.0), weights)
    assert (attention_dropout(weights, 1.0) == 0).all()


def test_the_draws_are_those_of_pytorch():
    weights = draw(2, 3, 5, 7, seed=1, dtype=torch.float32).abs()
    torch.manual_seed(11)
    ours = attention_dropout(weights, 0.3)
    torch.manual_seed(11)
    assert torch.allclose(ours, F.dropout(weights, 0.3), rtol=1e-6, atol=0)


def test_a_seed_repeats_and_another_differs():
    weights = torch.ones(11, 13)
    first, again, other = (attention_dropout(weights, 0.5, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_as_a_step_it_acts_on_weights_that_summed_to_one():
    generator = torch.Generator().manual_seed(5)
    output, weights = Mechanism(normalise=softmax_with_dropout(0.4, generator))(*qkv(), ragged())
    healthy = attention(*qkv(), ragged())[1]
    kept = weights != 0
    assert torch.allclose(weights[kept], healthy[kept] / 0.6, rtol=1e-12, atol=0)
    assert 0 < (healthy[~kept] != 0).sum() < (healthy != 0).sum()
    assert torch.allclose(output, weights @ qkv()[2], rtol=0, atol=1e-15)


def test_gradients_flow_only_through_survivors():
    weights = torch.rand(5, 7, requires_grad=True)
    dropped = attention_dropout(weights, 0.5, torch.Generator().manual_seed(3))
    (gradient,) = torch.autograd.grad(dropped.sum(), weights)
    assert torch.equal(gradient, (dropped != 0) * 2.0)
