"""What `in_numbers` says can be seen can be seen."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears
from tests.faults.probes import D_K, Layer, draw, faulty, given, padding, ragged, three

EQUAL = three(5, 5, 5, 5)
CAUSAL = causal_mask(5).dense()


def answer(name: str, *tensors: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return faulty(name).run(given(*tensors, allowed=allowed))


def changed(tensors: tuple[Tensor, ...], place: int) -> tuple[Tensor, ...]:
    """Return the same tensors, but for one."""
    return tuple(2 * tensor + 1 if n == place else tensor for n, tensor in enumerate(tensors))


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("query_as_key", 1),
        ("key_as_query", 0),
        ("key_as_value", 2),
        ("query_as_value", 2),
        ("value_as_key", 1),
        ("value_as_query", 0),
    ],
)
def test_changing_what_is_not_used_changes_nothing(name: str, unused: int):
    for before, after in zip(answer(name, *EQUAL), answer(name, *changed(EQUAL, unused)), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("name", ["key_value_swapped", "value_as_key", "value_as_query"])
def test_changing_the_values_changes_the_weights(name: str):
    assert not torch.allclose(answer(name, *EQUAL)[1], answer(name, *changed(EQUAL, 2))[1])


@pytest.mark.parametrize("name", ["query_as_key", "key_as_query"])
def test_scores_of_one_with_itself_are_symmetric(name: str):
    scores = faulty(name).steps(given(*EQUAL)).scores
    assert torch.allclose(scores, scores.mT)


def test_one_key_moves_several_columns_when_keys_are_reshaped():
    Q, K, V = three()
    moved = K.clone()
    moved[..., 2, :] += 1
    before, after = (faulty("key_reshaped").steps(given(Q, key, V)).scores for key in (K, moved))
    columns = (before != after).any(dim=(0, 1, 2)).nonzero().flatten().tolist()
    assert len(columns) > 1
    assert torch.allclose(answer("key_reshaped", Q, K, V)[1].sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


def test_directions_know_no_length():
    Q, K, V = three()
    steps = faulty("cosine_scores").steps(given(Q, K, V))
    assert steps.scores.abs().max() <= 1
    assert torch.allclose(answer("cosine_scores", 2 * Q, K, V)[1], steps.weights)


def test_no_distance_is_positive():
    assert (faulty("distance_scores").steps(given(*three())).scores <= 0).all()


def log_ratios(weights: Tensor) -> Tensor:
    """Return log(w_i / w_j) for neighbouring keys."""
    return weights.log().diff()


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("scale_missing", D_K**0.5),
        ("scale_multiplied", D_K),
        ("scale_by_key_size", D_K**-0.5),
        ("scale_twice", D_K**-0.5),
        ("scale_by_fourth_root", D_K**0.25),
        ("softmax_base_two", math.log(2)),
    ],
)
def test_how_much_sharper_the_weights_are(name: str, factor: float):
    Q, K, V = three()
    right, wrong = Circuit().run(given(Q / 9, K, V))[1], answer(name, Q / 9, K, V)[1]
    assert torch.allclose(log_ratios(wrong), factor * log_ratios(right))


def test_the_width_of_the_model_counts_heads():
    right, wrong = Circuit().run(given(*three()))[1], _without_model_size("scale_by_model_width")
    assert torch.allclose(log_ratios(wrong), log_ratios(right) / 3**0.5)


def _without_model_size(name: str) -> Tensor:
    return faulty(name).run(replace(given(*three()), model_size=None))[1]


def test_all_hidden_keys_weigh_the_same_when_filled_with_zero():
    for name in ("mask_multiplied", "mask_filled_with_zero"):
        weights = answer(name, *EQUAL, allowed=CAUSAL)[1]
        first = weights[..., 0, 1:]
        assert torch.allclose(first, first[..., :1].expand_as(first))
        assert (first > 0).all()


def test_a_mask_of_zeros_and_ones_divides_hidden_weights_by_e():
    unmasked, weights = Circuit().run(given(*EQUAL))[1], answer("mask_added_as_zero_one", *EQUAL, allowed=CAUSAL)[1]
    ratio = (weights / unmasked)[..., 0, :]
    assert torch.allclose(ratio[..., 0] / ratio[..., 1], torch.full((2, 3), math.e, dtype=torch.float64))


def test_rows_lose_what_is_hidden_after_the_softmax():
    weights = answer("mask_after_softmax", *EQUAL, allowed=CAUSAL)[1]
    assert (weights.masked_select(~CAUSAL) == 0).all()
    assert (weights.sum(-1)[..., :-1] < 1).all()
    assert torch.allclose(weights.sum(-1)[..., -1], torch.ones(2, 3, dtype=torch.float64))


def test_hidden_keys_share_all_when_the_fill_is_huge():
    weights = answer("mask_fill_positive", *EQUAL, allowed=CAUSAL)[1]
    assert torch.allclose(weights[..., 1, 2:], torch.full((2, 3, 3), 1 / 3, dtype=torch.float64))


def test_a_small_fill_shines_through_when_scores_are_low():
    low = (
        torch.full((1, 1), -100.0, dtype=torch.float64),
        torch.ones(2, 1, dtype=torch.float64),
        torch.eye(2, dtype=torch.float64),
    )
    weights = answer("mask_fill_too_small", *low, allowed=torch.tensor([[True, False]]))[1]
    assert weights[0, 1] > 0.5


def test_padding_on_the_queries_hides_rows():
    weights = answer("mask_hides_queries", *EQUAL, allowed=padding(5, 5))[1]
    assert (weights[0, :, 4] == 0).all()
    assert (weights[0, :, :4] > 0).all()


def test_a_second_softmax_is_even_and_sees_what_is_hidden():
    weights = answer("softmax_twice", *EQUAL, allowed=CAUSAL)[1]
    assert (weights > 0).all()
    assert (weights.amax(-1) / weights.amin(-1) <= math.e + 1e-9).all()
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


def test_one_more_in_the_denominator_keeps_the_ratios():
    right, wrong = Circuit().run(given(*three()))[1], answer("softmax_plus_one", *three())[1]
    assert (wrong.sum(-1) < 1).all()
    assert torch.allclose(log_ratios(wrong), log_ratios(right))


def test_one_query_and_many_keys_counted_from_the_start():
    base = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
    weights = faulty("causal_aligned_at_start", base).run(given(*three(n_q=1)))[1]
    assert (weights[..., 0] == 1).all()


def test_a_reversed_pattern_leaves_the_last_query_itself():
    base = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
    weights = faulty("causal_reversed", base).run(given(*EQUAL))[1]
    assert (weights[..., -1, -1] == 1).all()


@pytest.mark.parametrize("name", ["output_zero", "weights_ignored", "weights_transposed", "scores_combined"])
def test_the_weights_are_right_and_the_output_is_not(name: str):
    right, wrong = Circuit().run(given(*EQUAL)), answer(name, *EQUAL)
    assert torch.allclose(wrong[1], right[1])
    assert not torch.allclose(wrong[0], right[0])


@pytest.mark.parametrize("name", ["scores_returned", "weights_before_mask_returned"])
def test_the_output_is_right_and_the_weights_are_not(name: str):
    allowed = ragged(2, 3, 5, 5)
    right, wrong = Circuit().run(given(*EQUAL, allowed=allowed)), answer(name, *EQUAL, allowed=allowed)
    assert torch.allclose(wrong[0], right[0])
    assert not torch.allclose(wrong[1], right[1])


def test_an_added_query_is_there_without_values():
    Q, K, V = EQUAL
    assert torch.equal(answer("residual_added", Q, K, 0 * V)[0], Q)


def layer_with(weight: Tensor, bias: Tensor) -> Linears:
    linears: Linears = {}
    for role in ("query", "key", "value", "output"):
        linear = nn.Linear(9, 9, dtype=torch.float64).requires_grad_(False)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
        linears = {**linears, role: linear}
    return linears


def test_without_biases_zeros_stay_zeros():
    layer = Layer(3, 3)
    layer.x = layer.context = torch.zeros_like(layer.x)
    heads = faulty("bias_dropped").heads(layer.x, layer.x, layer.linears, num_heads=3, num_kv_heads=3)
    assert all((head == 0).all() for head in heads)


def test_a_missing_output_bias_is_missing_at_every_position():
    layer = Layer(3, 3)
    difference = layer(Circuit()) - layer(faulty("output_bias_dropped"))
    assert torch.allclose(difference, layer.linears["output"].bias.expand_as(difference))  # pyright: ignore[reportFunctionMemberAccess]


def test_an_output_projection_that_is_missing_is_not_asked():
    layer = Layer(3, 3)
    before = layer(faulty("output_projection_missing"))
    layer.linears["output"].weight.zero_()  # pyright: ignore[reportFunctionMemberAccess]
    assert torch.equal(layer(faulty("output_projection_missing")), before)


def test_transposed_projections_are_right_for_the_identity():
    layer = Layer(3, 3)
    layer.linears = layer_with(torch.eye(9, dtype=torch.float64), draw(9))
    assert torch.allclose(layer(faulty("projection_transposed")), layer(Circuit()))


def test_one_projection_makes_symmetric_scores():
    layer, circuit = Layer(3, 3), faulty("projection_shared")
    tensors = circuit.heads(layer.x, layer.x, layer.linears, num_heads=3, num_kv_heads=3)
    scores = circuit.steps(given(*tensors)).scores
    assert torch.allclose(scores, scores.mT)


def test_a_layer_of_zeros_returns_its_input_when_it_is_added():
    layer = Layer(3, 3)
    layer.linears = layer_with(torch.zeros(9, 9, dtype=torch.float64), torch.zeros(9, dtype=torch.float64))
    assert torch.equal(layer(faulty("residual_added_to_layer")), layer.x)


def moved_rows(name: str, layer: Layer) -> list[int]:
    """Return the positions of the first sequence whose output changes when its last position does."""
    before = layer(faulty(name))
    layer.x = layer.context = layer.x.clone()
    layer.x[0, -1] += 1
    return (layer(faulty(name)) != before)[0].any(-1).nonzero().flatten().tolist()


def test_heads_that_attend_to_each_other_learn_of_no_other_position():
    assert moved_rows("attends_over_heads", Layer(3, 3)) == [4]
    assert Layer(3, 3).ask(faulty("attends_over_heads"))[1].shape == (2, 5, 3, 3)


def test_attention_over_the_batch_learns_of_no_other_position():
    assert moved_rows("attends_over_batch", Layer(3, 3)) == [4]
    assert Layer(3, 3).ask(faulty("attends_over_batch"))[1].shape == (5, 3, 2, 2)
    assert (Layer(3, 3, batch=1).ask(faulty("attends_over_batch"))[1] == 1).all()


def test_wide_heads_know_no_number_of_heads():
    two, three_heads = Layer(2, 2, size=6), Layer(3, 3, size=4)
    assert torch.equal(two(faulty("heads_not_split")), three_heads(faulty("heads_not_split")))
    assert two.ask(faulty("heads_not_split"))[1].shape == (2, 1, 5, 5)


def test_the_context_is_not_read():
    layer = Layer(2, 2, n_k=7)
    before = layer.ask(faulty("context_ignored"))
    layer.context = 2 * layer.context
    assert torch.equal(layer(faulty("context_ignored")), before[0])
    assert before[1].shape == (2, 2, 5, 5)


def test_the_context_asks():
    output, weights = Layer(2, 2, n_k=7).ask(faulty("context_as_query"))
    assert output.shape == (2, 7, 6)
    assert weights.shape == (2, 2, 7, 5)
