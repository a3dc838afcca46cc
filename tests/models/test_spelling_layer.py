from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_surgeon.masks import causal_mask
from attention_surgeon.models import (
    default_size,
    describe_heads,
    embed_tokens,
    spelling_attention,
    tokenize,
    trace_text,
)
from attention_surgeon.nn import MultiHeadAttention
from attention_surgeon.trace import TENSOR_NAMES

CAT = "The cat sat on the mat"
PROSE = (
    "When the rain came the children were walking home, singing and talking, and the old dog that was sleeping by the "
    "gate woke up and watched them passing in the rain. "
)


def spread(weights: Tensor) -> Tensor:
    """Return over how many keys each head spreads, on average."""
    logs = weights.double().clamp(min=1e-300).log()
    return (-(weights.double() * logs).sum(-1)).exp().mean(-1)


def strongest_others(head: Tensor, row: int, count: int) -> set[int]:
    others = head[row].clone()
    others[row] = -1.0
    return set(others.topk(count).indices.tolist())


def test_the_first_head_shows_something_a_person_understands():
    weights = trace_text(CAT).head(0).weights
    the, cat, sat, on, the_again, mat = range(6)
    assert strongest_others(weights, the, 1) == {the_again}
    assert strongest_others(weights, the_again, 1) == {the}
    assert weights[the, the_again] > 0.4
    for word in (cat, sat, mat):
        assert strongest_others(weights, word, 2) == {cat, sat, mat} - {word}
    assert weights[on, on] > 0.8


def test_the_second_head_hears_endings():
    trace = trace_text(PROSE)
    weights = trace.head(1).weights
    tokens = list(trace.query_tokens)
    walking = tokens.index("walking")
    assert {tokens[i] for i in strongest_others(weights, walking, 4)} == {"singing", "talking", "sleeping", "passing"}


def test_the_other_heads_hear_places():
    trace = trace_text(PROSE)
    neighbours, region = trace.head(2).weights, trace.head(3).weights
    n = len(trace.query_tokens)
    for row in range(2, n - 2):
        assert strongest_others(neighbours, row, 2) == {row - 1, row + 1}
    distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    assert neighbours[distance > 4].max() < 0.02
    assert region[distance == 8].mean() > 2 * region[distance == n // 2].mean()


@pytest.mark.parametrize("num_words", [13, 41, 307])
def test_each_head_is_as_sharp_as_its_band_calls_for(num_words: int):
    words = tokenize(PROSE * 12)[:num_words]
    letters = (1.5 * num_words) ** 0.5
    wanted = [letters, letters, 3.0, num_words / 2]
    assert spread(trace_text(words).weights).tolist() == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("text", [CAT, "one two", "Is this it?"])
def test_the_weights_of_a_short_text_are_neither_one_hot_nor_even(text: str):
    n = len(tokenize(text))
    spreads = spread(trace_text(text).weights)
    assert (spreads > 1.3).all()
    assert (spreads[:3] < 0.9 * n).all()


def test_heads_differ():
    weights = trace_text(PROSE).weights
    for one in range(4):
        for other in range(one):
            assert (weights[one] - weights[other]).abs().sum(-1).mean() > 0.3


def test_it_is_an_ordinary_layer():
    tokens = tokenize(CAT)
    layer = spelling_attention(tokens)
    assert type(layer) is MultiHeadAttention
    assert not layer.training
    assert torch.equal(layer.query.weight, layer.key.weight)
    for projection in (layer.value, layer.output):
        assert torch.equal(projection.weight, torch.eye(64))
    output, weights = layer(embed_tokens(tokens), return_weights=True)
    trace = trace_text(CAT)
    assert torch.equal(weights, trace.weights)
    assert torch.allclose(output, trace.output.transpose(0, 1).flatten(1), atol=1e-6)


def test_scores_are_symmetric_because_queries_are_keys():
    trace = trace_text(CAT)
    assert torch.equal(trace.query, trace.key)
    assert torch.allclose(trace.scores, trace.scores.mT)


def test_it_says_that_it_is_untrained_and_what_each_head_hears():
    assert trace_text(CAT).source == "untrained: head 0 spelling, 1 endings, 2 neighbours, 3 region"
    assert describe_heads(1) == ("spelling + endings + neighbours + region",)
    assert describe_heads(3) == ("spelling + endings", "endings + neighbours", "neighbours + region")
    assert describe_heads(8, 64)[:3] == ("spelling", "spelling", "endings")


@pytest.mark.parametrize("num_heads", [1, 2, 3, 4, 5, 7, 8, 12, 16])
def test_any_number_of_heads_has_a_size(num_heads: int):
    size = default_size(num_heads)
    assert size >= 64
    assert size % 8 == size % num_heads == 0
    trace = trace_text(CAT, num_heads=num_heads)
    assert trace.num_heads == num_heads
    assert all(check.passed for check in trace.checks())


def test_the_same_text_gives_the_same_numbers():
    one, other = trace_text(PROSE, seed=3), trace_text(PROSE, seed=3)
    for name in TENSOR_NAMES:
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert not torch.equal(one.weights[0], trace_text(PROSE, seed=4).weights[0])


@pytest.mark.parametrize("mask", [causal_mask, causal_mask(6)])
def test_a_mask_and_a_missing_scale_reach_the_trace(mask: Callable):
    trace = trace_text(CAT, mask=mask, scale=False)
    assert trace.allowed is not None
    assert torch.equal(trace.allowed[0], causal_mask(6).dense())
    assert torch.equal(trace.scaled, trace.scores)
    assert all(check.passed for check in trace.checks())


def test_tokens_are_taken_as_they_are():
    assert trace_text(["two words", "one"]).query_tokens == ("two words", "one")


@pytest.mark.parametrize("text", ["word", "a a a a", ". . .", "猫 猫 👍"])
def test_degenerate_texts(text: str):
    trace = trace_text(text)
    assert all(check.passed for check in trace.checks())


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    embed_tokens(["cat"], 64)
    assert torch.equal(torch.random.get_rng_state(), before)
