"""`check_attention`: what passes, and what a failing test says."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import attention_surgeon as surgeon
from attention_surgeon.errors import ContractError, UnjudgedError
from attention_surgeon.testing import check_attention, make_contract

pytestmark = pytest.mark.usefixtures("own_messages")


def attention(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return scores.softmax(-1) @ V


def causal(Q, K, V):
    return surgeon.attention(Q, K, V, surgeon.causal_mask(Q.shape[-2], K.shape[-2]).dense())[0]


class ByLoops:
    """A plain class with arrays, used as `x @ W`."""

    def __init__(self, embed_dim):
        rng = np.random.default_rng(0)
        self.W_q, self.W_k, self.W_v = (rng.normal(size=(embed_dim, embed_dim)) for _ in range(3))

    def forward(self, x):
        return np.stack([self.one(sequence) for sequence in x])

    def one(self, x):
        q, k, v = x @ self.W_q, x @ self.W_k, x @ self.W_v
        scores = q @ k.T / math.sqrt(q.shape[-1])
        e = np.exp(scores - scores.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("target", [attention, causal, surgeon.MultiHeadAttention, surgeon.MultiHeadAttention(24, 4)])
def test_without_a_contract_the_one_that_fits_is_found(target):
    assert check_attention(target) is None


def test_a_contract_may_be_an_object_a_name_and_options():
    check_attention(attention, make_contract("attention"))
    check_attention(lambda Q, K, V, mask=None: attention(Q, K, V, None if mask is None else ~mask), mask="hide")
    check_attention(lambda Q, K, V: surgeon.attention(Q, K, V)[::-1], "attention", returns="weights_first")


def message_of(target, contract=None, **options):
    with pytest.raises(ContractError) as caught:
        check_attention(target, contract, **options)
    assert isinstance(caught.value, AssertionError)
    assert caught.value.target is target
    assert caught.value.contract is not None
    return str(caught.value)


def drops_the_mask(Q, K, V, mask=None):
    return attention(Q, K, V)


def raises_when_masked(Q, K, V, mask=None):
    if mask is not None and mask.shape[-1] == mask.shape[-2]:
        raise ValueError("square masks are not for me")
    return attention(Q, K, V, mask)


def overwrites(Q, K, V):
    Q /= math.sqrt(Q.shape[-1])
    return (Q @ K.mT).softmax(-1) @ V


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (drops_the_mask, "in the call masked: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), mask (2, 5, 7), "),
        (
            raises_when_masked,
            "in the call causal mask: Q (2, 7, 11), K (2, 7, 11), V (2, 7, 13), mask (2, 7, 7), "
            "it raises ValueError: square masks are not for me",
        ),
        (overwrites, "after the call the caller's Q held other numbers."),
        (lambda Q, K, V: torch.dropout(attention(Q, K, V), 0.5, train=True), "the same call gives another answer"),
    ],
)
def test_the_message_says_what_is_wrong(target, complaint):
    name = target.__qualname__
    assert message_of(target, "attention").startswith(f"{name} is not what the contract 'attention' asks: {complaint}")


def test_the_numbers_of_the_message_are_those_of_the_call():
    said = message_of(lambda Q, K, V: attention(Q, K, V) + 0.25, "attention")
    assert "130 of 130 numbers of the output are wrong; the furthest, at (" in said
    given, expected = re.fullmatch(r".* is (\S+), expected (\S+)\.", said).groups()
    assert float(given) - float(expected) == pytest.approx(0.25, abs=2e-3)


def test_only_the_wrong_numbers_are_counted():
    def one_off(Q, K, V):
        output = attention(Q, K, V)
        output[..., 0, 0] += 1.0
        return output

    assert ", 2 of 130 numbers of the output are wrong; the furthest, at (" in message_of(one_off, "attention")


def test_weights_are_checked_where_they_are_returned():
    def with_scores(Q, K, V):
        return attention(Q, K, V), Q @ K.mT

    assert " numbers of the weights are wrong" in message_of(with_scores, "attention")


def test_a_layer_of_numpy_is_checked():
    check_attention(ByLoops, "self")
    layer = ByLoops(11)
    before = layer.W_q.copy()
    check_attention(layer, "self")
    np.testing.assert_array_equal(layer.W_q, before)


def test_a_module_is_left_as_it_was():
    layer = surgeon.MultiHeadAttention(24, 4).train()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    torch.manual_seed(2)
    drawn = torch.get_rng_state()
    check_attention(layer)
    assert layer.training
    assert torch.equal(torch.get_rng_state(), drawn)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_what_no_contract_can_judge_is_said():
    with pytest.raises(UnjudgedError, match="it is a list, expected a function"):
        check_attention([attention])


@settings(max_examples=25)
@given(heads=st.integers(1, 5), size=st.integers(1, 7), shared=st.integers(1, 5))
def test_our_layers_are_right_whatever_their_sizes(heads, size, shared):
    check_attention(surgeon.MultiHeadAttention(heads * size, heads), "multihead")
    check_attention(surgeon.CrossAttention(heads * size, heads), "cross")
    if heads % shared == 0:
        check_attention(surgeon.GroupedQueryAttention(heads * size, heads, shared), "grouped")


@settings(max_examples=25)
@given(factor=st.floats(0.05, 20.0), fill=st.sampled_from([-1e9, -1e30, -math.inf]), order=st.permutations([0, 1, 2]))
def test_the_same_attention_written_otherwise_is_right(factor, fill, order):
    def rewritten(Q, K, V, mask=None):
        Q, K = Q * factor, K / (factor * math.sqrt(K.shape[-1]))
        K, V = K.roll(order[0], -2), V.roll(order[0], -2)  # keys and values in another order
        scores = torch.einsum("...qd,...kd->...qk", Q, K)
        if mask is not None:
            scores = torch.where(mask.roll(order[0], -1), scores, fill)
        return scores.softmax(-1).nan_to_num() @ V

    check_attention(rewritten, "attention")


@settings(max_examples=25)
@given(factor=st.floats(1.05, 3.0))
def test_a_scale_that_is_off_by_a_twentieth_is_noticed(factor):
    with pytest.raises(ContractError):
        check_attention(lambda Q, K, V: attention(Q * factor, K, V), "attention")


def test_a_torch_module_class_without_weights_is_a_function():
    class Scaled(nn.Module):
        def forward(self, query, key, value, mask=None):
            return attention(query, key, value, mask)

    check_attention(Scaled)
    check_attention(Scaled())


class MadeAnew(nn.Module):
    """A layer whose query is another one at every call."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query = nn.Linear(x.shape[-1], x.shape[-1])(x)
        return torch.softmax(query @ self.key(x).mT, dim=-1) @ self.value(x)


def test_a_layer_that_is_made_at_every_call_is_not_called_dropout():
    with pytest.raises(ContractError, match=r"each call makes a layer with new random numbers") as raised:
        check_attention(MadeAnew, "simple")
    assert "dropout" not in str(raised.value)
