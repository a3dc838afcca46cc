"""Each operator on numbers that can be worked out with a pencil."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.faults import find_fault
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears, leave_unscaled
from tests.faults.probes import Layer, draw, given, run

INF, NAN = math.inf, math.nan


def matrix(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def close(found: Tensor, expected: Tensor | list[float] | float) -> bool:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    return torch.allclose(found, expected.expand_as(found), equal_nan=True)


def scaled_by(name: str, query: Tensor, key: Tensor, value: Tensor, **more: int) -> Tensor:
    """Return by how much the fault multiplies the scores."""
    operate = find_fault(name).operate
    assert operate is not None
    steps = operate(Circuit()).steps(replace(given(query, key, value), **more))
    return (steps.scaled / steps.scores).flatten()


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("scale_missing", 1),
        ("scale_multiplied", 11**0.5),
        ("scale_by_key_size", 1 / 11),
        ("scale_twice", 1 / 11),
        ("scale_by_fourth_root", 11**-0.25),
        ("scale_by_model_width", 17**-0.5),
        ("scale_by_value_size", 13**-0.5),
        ("scale_by_num_keys", 7**-0.5),
        ("scale_by_num_queries", 5**-0.5),
        ("scale_by_num_heads", 3**-0.5),
        ("scale_hard_coded", 1 / 8),
    ],
)
def test_the_scale(name: str, factor: float):
    found = scaled_by(name, draw(2, 3, 5, 11), draw(2, 3, 7, 11, seed=1), draw(2, 3, 7, 13, seed=2), model_size=17)
    assert close(found, factor)


def test_the_width_of_the_model_is_that_of_the_heads_unless_it_is_known():
    tensors = draw(2, 3, 5, 11), draw(2, 3, 7, 11, seed=1), draw(2, 3, 7, 13, seed=2)
    assert close(scaled_by("scale_by_model_width", *tensors, model_size=None), 33**-0.5)  # pyright: ignore[reportArgumentType]
    without_heads = tuple(tensor[0] for tensor in tensors)
    with pytest.raises(
        OptionError, match=r"Q has shape \(3, 5, 11\), from which the width of the model cannot be told"
    ):
        scaled_by("scale_by_model_width", *without_heads, model_size=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match=r"Q has shape \(3, 5, 11\), expected \(batch, heads, n, size\)"):
        scaled_by("scale_by_num_heads", *without_heads)


def test_a_tuned_scale_and_a_tuned_fill():
    scale, fill = find_fault("scale_hard_coded").tune, find_fault("mask_fill_too_small").tune
    assert scale is not None
    assert fill is not None
    tensors = draw(1, 5, 3), draw(1, 7, 3, seed=1), draw(1, 7, 2, seed=2)
    steps = scale(0.3)(Circuit()).steps(given(*tensors))
    assert close(steps.scaled / steps.scores, 0.3)
    allowed = causal_mask(5, 7).dense()
    masked = fill(-7.0)(Circuit()).steps(given(*tensors, allowed=allowed)).masked
    assert (masked[0][~allowed] == -7).all()
    assert torch.equal(masked[0][allowed], steps.scores[0][allowed] / math.sqrt(3))


SCORES = matrix([0.0, math.log(2)], [math.log(3), 0.0])
"""Exponentials 1 2 / 3 1."""


def normalised(name: str, scores: Tensor = SCORES, allowed: Tensor | None = None) -> Tensor:
    """Return the weights that the fault makes of these scores."""
    base = Circuit().replace(scale=leave_unscaled)
    n = scores.shape[-1]
    key, value = torch.eye(n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)
    operate = find_fault(name).operate
    assert operate is not None
    return operate(base).run(given(scores, key, value, allowed=allowed))[1]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("softmax_over_queries", matrix([1 / 4, 2 / 3], [3 / 4, 1 / 3])),
        ("softmax_over_everything", matrix([1 / 7, 2 / 7], [3 / 7, 1 / 7])),
        ("softmax_missing", SCORES),
        ("exp_not_normalised", matrix([1, 2], [3, 1])),
        ("softmax_no_max_subtraction", matrix([1 / 3, 2 / 3], [3 / 4, 1 / 4])),
        ("global_max_subtracted", matrix([1 / 3, 2 / 3], [3 / 4, 1 / 4])),
        ("softmax_plus_one", matrix([1 / 4, 2 / 4], [3 / 5, 1 / 5])),
        ("log_softmax_used", matrix([1 / 3, 2 / 3], [3 / 4, 1 / 4]).log()),
        ("sigmoid_used", matrix([1 / 2, 2 / 3], [3 / 4, 1 / 2])),
        ("scores_divided_by_sum", matrix([0, 1], [1, 0])),
        ("hard_max", matrix([0, 1], [1, 0])),
        ("l2_normalised", matrix([0, 1], [1, 0])),
        ("weights_divided_by_num_keys", matrix([1 / 6, 2 / 6], [3 / 8, 1 / 8])),
        ("renormalised_over_queries", matrix([4 / 13, 8 / 11], [9 / 13, 3 / 11])),
    ],
)
def test_the_softmax(name: str, weights: Tensor):
    assert close(normalised(name), weights)


def test_columns_divided_by_the_sums_of_rows():
    """With the largest score of each row subtracted the exponentials are 1/2 1 / 1 1/3, and rows sum to 3/2 and 4/3."""
    assert close(normalised("sum_without_keepdim"), matrix([1 / 3, 3 / 4], [2 / 3, 1 / 4]))


def test_powers_of_two_and_a_second_softmax():
    assert close(normalised("softmax_base_two", matrix([0.0, 1.0])), [1 / 3, 2 / 3])
    once = matrix([1 / 3, 2 / 3])
    assert close(normalised("softmax_twice", SCORES[:1]), torch.softmax(once, -1))


def test_large_scores_overflow_only_without_the_maximum():
    assert close(
        normalised("softmax_no_max_subtraction", matrix([1000.0, 999.0], [0.0, 0.0])), matrix([NAN, NAN], [0.5, 0.5])
    )
    assert close(
        normalised("global_max_subtracted", matrix([1000.0, 1000.0], [0.0, 0.0])), matrix([0.5, 0.5], [NAN, NAN])
    )


def test_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match=r"scores have shape \(2, 2\), without an axis of heads"):
        normalised("softmax_over_heads")
    with pytest.raises(ShapeError, match=r"scores have shape \(2, 2\), without an axis of sequences"):
        normalised("softmax_over_batch")
    with pytest.raises(ShapeError, match="row sums do not fit their columns"):
        normalised("sum_without_keepdim", SCORES[:1])


def test_heads_and_sequences_share_one_weight():
    over_heads = run(find_fault("softmax_over_heads"), draw(2, 3, 5, 4), draw(2, 3, 7, 4), draw(2, 3, 7, 4))[1]
    assert close(over_heads.sum(1), 1.0)
    over_batch = run(find_fault("softmax_over_batch"), draw(2, 3, 5, 4), draw(2, 3, 7, 4), draw(2, 3, 7, 4))[1]
    assert close(over_batch.sum(0), 1.0)


LOWER = torch.tensor([[True, False], [True, True]])
HALF = matrix([math.log(1), math.log(1)], [math.log(1), math.log(3)])
"""Exponentials 1 1 / 1 3."""


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mask_ignored", matrix([1 / 2, 1 / 2], [1 / 4, 3 / 4])),
        ("mask_inverted", matrix([0, 1], [0, 0])),
        ("mask_after_softmax", matrix([1 / 2, 0], [1 / 4, 3 / 4])),
        ("mask_filled_with_zero", matrix([1 / 2, 1 / 2], [1 / 4, 3 / 4])),
        ("mask_added_as_zero_one", matrix([math.e / (math.e + 1), 1 / (math.e + 1)], [1 / 4, 3 / 4])),
        ("mask_subtracted", matrix([1 / (math.e + 1), math.e / (math.e + 1)], [1 / 4, 3 / 4])),
        ("mask_fill_positive", matrix([0, 1], [1 / 4, 3 / 4])),
        ("mask_fill_too_small", matrix([1 / (1 + math.exp(-10)), 1 / (1 + math.exp(10))], [1 / 4, 3 / 4])),
        ("mask_times_infinity", matrix([NAN, NAN], [NAN, NAN])),
        ("mask_off_by_one", matrix([1 / 2, 1 / 2], [1 / 4, 3 / 4])),
        ("mask_diagonal_hidden", matrix([0, 0], [1, 0])),
        ("mask_transposed", matrix([1 / 2, 1 / 2], [0, 1])),
        ("mask_hides_queries", matrix([1, 0], [1 / 4, 3 / 4])),
        ("renormalised_over_queries", matrix([2 / 3, 0], [1 / 3, 1])),
        ("nan_rows", matrix([1, 0], [1 / 4, 3 / 4])),
    ],
)
def test_the_mask(name: str, weights: Tensor):
    assert close(normalised(name, HALF, LOWER), weights)


def test_a_multiplied_mask_makes_scores_of_zero():
    assert close(
        normalised("mask_multiplied", matrix([5.0, 5.0]), LOWER[:1]), [1 / (1 + math.exp(-5)), 1 / (1 + math.exp(5))]
    )


def test_a_query_without_keys():
    nothing = torch.tensor([[False, False], [True, True]])
    assert close(normalised("nan_rows", HALF, nothing), matrix([NAN, NAN], [1 / 4, 3 / 4]))
    assert close(normalised("scale_missing", HALF, nothing), matrix([0, 0], [1 / 4, 3 / 4]))


def test_an_added_mask_that_is_subtracted():
    tensors = (
        torch.zeros(1, 1, dtype=torch.float64),
        torch.zeros(2, 1, dtype=torch.float64),
        torch.eye(2, dtype=torch.float64),
    )
    operate = find_fault("mask_subtracted").operate
    assert operate is not None
    weights = operate(Circuit()).run(given(*tensors, bias=matrix([0.0, math.log(3)])))[1]
    assert close(weights, [3 / 4, 1 / 4])
    hidden = given(*tensors, allowed=torch.tensor([[True, False]]), bias=torch.zeros(1, 2, dtype=torch.float64))
    assert close(operate(Circuit()).steps(hidden).masked, [0.0, INF])


def test_a_mask_before_the_scale_counts_less():
    operate = find_fault("mask_before_scale").operate
    assert operate is not None
    bias = matrix([0.0, 6.0, 0.0])
    call = given(draw(1, 4), draw(3, 4, seed=1), draw(3, 2), allowed=torch.tensor([[True, True, False]]), bias=bias)
    right, wrong = Circuit().steps(call).masked, operate(Circuit()).steps(call).masked
    assert close(right[0, :2] - wrong[0, :2], [0.0, 3.0])
    assert wrong[0, 2] == -INF
    assert close(operate(Circuit()).run(call, scale=False)[1], Circuit().run(call, scale=False)[1])


def test_a_mask_of_two_sequences():
    allowed = torch.tensor([[True, False], [True, True]])[:, None]  # (2, 1, 2)
    three = draw(2, 2, 3), draw(2, 2, 3, seed=1), draw(2, 2, 3, seed=2)
    first = run(find_fault("mask_first_only"), *three, allowed=allowed)[1]
    assert (first[..., 1] == 0).all()
    rows = run(find_fault("mask_hides_queries"), *three, allowed=allowed)[1]
    assert (rows[0, 1] == 0).all()
    assert (rows[0, 0] > 0).all()
    assert (rows[1] > 0).all()


def test_one_mask_for_all_is_that_of_the_first():
    three = draw(2, 2, 3), draw(2, 2, 3, seed=1), draw(2, 2, 3, seed=2)
    assert close(run(find_fault("mask_first_only"), *three, allowed=LOWER)[1], run_usual(*three, allowed=LOWER)[1])


def run_usual(*tensors: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return Circuit().run(given(*tensors, allowed=allowed))


def test_no_mask_is_a_causal_one():
    three = draw(3, 2), draw(5, 2, seed=1), draw(5, 2, seed=2)
    causal = causal_mask(3, 5).dense()
    fault = find_fault("none_mask_is_causal")
    assert close(run(fault, *three)[1], run_usual(*three, allowed=causal)[1])
    everything = torch.ones(3, 5, dtype=torch.bool)
    assert close(run(fault, *three, allowed=everything)[1], run_usual(*three)[1])


def pattern(name: str, n_q: int, n_k: int) -> str:
    """Draw what the fault makes of causal attention that ends with the last key."""
    operate = find_fault(name).operate
    assert operate is not None
    allowed = operate(Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())).pattern(n_q, n_k)
    return (
        "all" if allowed is None else "/".join("".join("x" if yes else "." for yes in row) for row in allowed.tolist())
    )


@pytest.mark.parametrize(
    ("name", "square", "wide"),
    [
        ("causal_missing", "all", "all"),
        ("causal_reversed", "xxx/.xx/..x", "..xx/...x"),
        ("causal_aligned_at_start", "x../xx./xxx", "x.../xx.."),
        ("causal_aligned_at_end", "x../xx./xxx", "xxx./xxxx"),
    ],
)
def test_the_causal_pattern(name: str, square: str, wide: str):
    assert pattern(name, 3, 3) == square
    assert pattern(name, 2, 4) == wide


def test_nothing_reversed_is_nothing():
    operate = find_fault("causal_reversed").operate
    assert operate is not None
    assert operate(Circuit()).pattern(2, 3) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mask_off_by_one", "xx../xxx./xxxx"),
        ("padding_off_by_one", "xx../xxx./xxxx"),
        ("mask_inverted", ".xxx/..xx/...x"),
        ("padding_inverted", ".xxx/..xx/...x"),
    ],
)
def test_what_a_mask_is_read_as(name: str, expected: str):
    allowed = torch.ones(3, 4, dtype=torch.bool).tril()
    three = draw(3, 2), draw(4, 2, seed=1), draw(4, 2, seed=2)
    weights = run(find_fault(name), *three, allowed=allowed)[1]
    assert "/".join("".join("x" if w > 0 else "." for w in row) for row in weights.tolist()) == expected


@pytest.mark.parametrize(("align", "expected"), [("start", "..../x.../xx.."), ("end", "x.../xx../xxx.")])
def test_a_hidden_diagonal_lies_where_the_pattern_does(align: Literal["start", "end"], expected: str):
    base = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k, align=align).dense())
    weights = run(find_fault("mask_diagonal_hidden"), draw(3, 2), draw(4, 2, seed=1), draw(4, 2, seed=2), base=base)[1]
    assert "/".join("".join("x" if w > 0 else "." for w in row) for row in weights.tolist()) == expected


Q, K, V = matrix([1.0, 2.0]), matrix([3.0, 5.0], [7.0, 11.0]), matrix([13.0, 17.0], [19.0, 23.0])


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("query_as_key", matrix([5.0])),
        ("key_as_query", matrix([34.0, 76.0], [76.0, 170.0])),
        ("value_as_key", matrix([47.0, 65.0])),
        ("value_as_query", matrix([124.0, 278.0], [172.0, 386.0])),
        ("query_key_swapped", matrix([13.0], [29.0])),
        ("key_value_swapped", matrix([47.0, 65.0])),
        ("query_value_swapped", matrix([124.0, 278.0], [172.0, 386.0])),
        ("operands_rotated", matrix([124.0, 172.0], [278.0, 386.0])),
        ("key_as_value", matrix([13.0, 29.0])),
        ("query_as_value", matrix([13.0, 29.0])),
        ("scores_transposed", matrix([13.0], [29.0])),
        ("scores_negated", matrix([-13.0, -29.0])),
        ("key_not_transposed", matrix([17.0, 27.0])),
        ("key_reshaped", matrix([17.0, 27.0])),
        ("distance_scores", matrix([-13.0, -117.0])),
        ("cosine_scores", matrix([13 / math.sqrt(5 * 34), 29 / math.sqrt(5 * 170)])),
    ],
)
def test_the_scores(name: str, scores: Tensor):
    operate = find_fault(name).operate
    assert operate is not None
    circuit = operate(Circuit())
    query, key, value = circuit.assign(Q, K, V)
    assert close(circuit.mechanism.score(given(query, key, value)), scores)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("key_as_value", 1),
        ("key_value_swapped", 1),
        ("query_as_value", 0),
        ("query_value_swapped", 0),
        ("operands_rotated", 0),
    ],
)
def test_what_is_gathered(name: str, role: int):
    operate = find_fault(name).operate
    assert operate is not None
    assert operate(Circuit()).assign(Q, K, V)[2] is (Q, K, V)[role]


def test_where_queries_keys_and_values_come_from():
    for name, sources in (("context_ignored", "xxx"), ("context_as_query", "cxx")):
        operate = find_fault(name).operate
        assert operate is not None
        x, context = draw(1), draw(2)
        assert operate(Circuit()).source(x, context) == tuple(x if source == "x" else context for source in sources)


def test_the_order_of_the_chunks():
    operate = find_fault("chunk_order_wrong").operate
    assert operate is not None
    factors: Linears = {role: _times(n) for n, role in enumerate(("query", "key", "value", "output"), start=2)}
    project = operate(Circuit()).project
    found = [project(torch.ones(1), role, factors).item() for role in ("query", "key", "value", "output")]
    assert found == [4, 2, 3, 5]  # the query is what the matrix of the value made, and so on


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * factor


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("weights_transposed", matrix([3 / 4 * 10 + 1 / 2 * 20], [1 / 4 * 10 + 1 / 2 * 20])),
        ("weights_ignored", matrix([15.0], [15.0])),
        ("value_returned", matrix([10.0], [20.0])),
        ("output_zero", matrix([0.0], [0.0])),
    ],
)
def test_the_output(name: str, output: Tensor):
    operate = find_fault(name).operate
    assert operate is not None
    weights, value = matrix([3 / 4, 1 / 4], [1 / 2, 1 / 2]), matrix([10.0], [20.0])
    found = operate(Circuit()).mechanism.combine(weights, given(value, value, value))
    assert close(found, output)


def test_the_query_is_added():
    three = draw(3, 4), draw(5, 4, seed=1), draw(5, 4, seed=2)
    assert close(run(find_fault("residual_added"), *three)[0], run_usual(*three)[0] + three[0])


def test_values_cannot_stand_for_another_number_of_outputs():
    with pytest.raises(ShapeError, match="5 values cannot stand for 3 outputs"):
        run(find_fault("value_returned"), draw(3, 4), draw(5, 4), draw(5, 4))


def test_what_is_returned():
    three, allowed = (draw(3, 4), draw(5, 4, seed=1), draw(5, 2, seed=2)), causal_mask(3, 5).dense()
    steps = Circuit().steps(given(*three, allowed=allowed))
    output, weights = run(find_fault("scores_returned"), *three, allowed=allowed)
    assert torch.equal(output, steps.output)
    assert torch.equal(weights, steps.scaled)
    output, weights = run(find_fault("weights_before_mask_returned"), *three, allowed=allowed)
    assert torch.equal(output, steps.output)
    assert close(weights, torch.softmax(steps.scaled, -1))
    assert torch.equal(run(find_fault("returns_swapped"), *three, allowed=allowed)[0], steps.weights)
    output, weights = run(find_fault("scores_combined"), *three)
    assert close(output, steps.scaled @ three[2])
    assert close(weights, run_usual(*three)[1])


X = torch.arange(12, dtype=torch.float64).reshape(1, 2, 6)
"""Two positions, 0 to 5 and 6 to 11."""


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("heads_split_by_view", [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]),
        ("heads_strided", [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]),
        ("heads_not_split", [[[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]]),
        ("attends_over_heads", [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]),
        ("attends_over_batch", [[[[0, 1]], [[2, 3]], [[4, 5]]], [[[6, 7]], [[8, 9]], [[10, 11]]]]),
    ],
)
def test_how_heads_are_cut(name: str, split: list):
    operate = find_fault(name).operate
    assert operate is not None
    found = operate(Circuit()).split(X, 3)
    assert found.tolist() == (split if name == "attends_over_batch" else [split])


@pytest.mark.parametrize(
    ("name", "merged"),
    [
        ("heads_merged_without_transpose", [[0, 1, 6, 7, 2, 3], [8, 9, 4, 5, 10, 11]]),
        ("heads_reversed", [[4, 5, 2, 3, 0, 1], [10, 11, 8, 9, 6, 7]]),
        ("first_head_only", [[0, 1, 0, 1, 0, 1], [6, 7, 6, 7, 6, 7]]),
        ("head_outputs_averaged", [[2, 3, 2, 3, 2, 3], [8, 9, 8, 9, 8, 9]]),
    ],
)
def test_how_heads_are_put_together(name: str, merged: list[list[float]]):
    operate = find_fault(name).operate
    assert operate is not None
    usual = Circuit()
    assert operate(usual).merge(usual.split(X, 3)).tolist() == [merged]


@pytest.mark.parametrize("name", ["heads_strided", "heads_not_split", "attends_over_heads", "attends_over_batch"])
def test_what_is_cut_otherwise_is_put_together_accordingly(name: str):
    operate = find_fault(name).operate
    assert operate is not None
    circuit = operate(Circuit())
    assert torch.equal(circuit.merge(circuit.split(X, 3)), X)


def test_how_heads_are_shared():
    shared = torch.tensor([[[1]], [[2]]])
    operate = find_fault("heads_tiled").operate
    assert operate is not None
    assert operate(Circuit()).share(shared, 4).flatten().tolist() == [1, 2, 1, 2]
    operate = find_fault("attends_over_heads").operate
    assert operate is not None
    assert operate(Circuit()).share(shared.reshape(1, 2, 1), 4).flatten().tolist() == [1, 1, 2, 2]
    assert find_fault("heads_not_split").operate(Circuit()).share(shared, 4) is shared  # pyright: ignore[reportOptionalCall]


def test_averaged_heads_have_the_same_weights():
    three = draw(2, 3, 5, 4), draw(2, 3, 7, 4, seed=1), draw(2, 3, 7, 4, seed=2)
    weights = run(find_fault("heads_averaged"), *three)[1]
    assert close(weights, run_usual(*three)[1].mean(1, keepdim=True))
    with pytest.raises(ShapeError, match=r"scores have shape \(5, 7\), without an axis of heads"):
        run(find_fault("heads_averaged"), *(tensor[0, 0] for tensor in three))


ROLES = ("query", "key", "value", "output")


def projected(name: str) -> dict[str, Tensor]:
    """Return what each role's projection makes of the input."""
    layer, operate = Layer(3, 3), find_fault(name).operate
    assert operate is not None
    project = operate(Circuit()).project
    return {role: project(layer.x, role, layer.linears) for role in ROLES}


def linear(role: str) -> nn.Linear:
    found = Layer(3, 3).linears[role]
    assert isinstance(found, nn.Linear)
    return found


def test_how_the_input_is_projected():
    x = Layer(3, 3).x
    dropped, no_output_bias = projected("bias_dropped"), projected("output_bias_dropped")
    transposed, shared = projected("projection_transposed"), projected("projection_shared")
    for role in ROLES:
        weight, bias = linear(role).weight, linear(role).bias
        assert close(dropped[role], x @ weight.T + (bias if role == "output" else 0))
        assert close(no_output_bias[role], x @ weight.T + (0 if role == "output" else bias))
        assert close(transposed[role], x @ weight + bias)
        assert close(shared[role], linear("output" if role == "output" else "query")(x))
    assert torch.equal(projected("output_projection_missing")["output"], x)


def test_a_projection_that_is_not_there_stays_so():
    nothing: Linears = {**Layer(3, 3).linears, "output": nn.Identity()}
    for name in ("output_bias_dropped", "projection_transposed"):
        operate = find_fault(name).operate
        assert operate is not None
        assert torch.equal(operate(Circuit()).project(X, "output", nothing), X)


def test_a_layer_that_adds_its_input():
    layer, operate = Layer(3, 3), find_fault("residual_added_to_layer").operate
    assert operate is not None
    assert close(layer(operate(Circuit())), layer(Circuit()) + layer.x)


def test_dropped_weights():
    three = torch.zeros(40, 1, dtype=torch.float64), torch.zeros(50, 1, dtype=torch.float64), draw(50, 1)
    torch.manual_seed(0)
    dropped, cut = run(find_fault("dropout_in_eval"), *three)[1], run(find_fault("dropout_not_rescaled"), *three)[1]
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 45])
    assert cut.unique().tolist() == pytest.approx([0, 1 / 50])
    for weights in (dropped, cut):
        assert 0.05 < (weights == 0).double().mean() < 0.15


WEIGHTS = matrix([1.0, 0.0, 0.0], [0.5, 0.25, 0.25])
"""Two queries, three keys: the own ones are the second and the third."""


@pytest.mark.parametrize(
    ("name", "measure", "expected"),
    [
        ("entropy_negated", "entropy", -0.75 * math.log(2)),
        ("entropy_in_bits", "entropy", 0.75),
        ("entropy_nan_at_zero", "entropy", NAN),
        ("entropy_summed", "entropy", 1.5 * math.log(2)),
        ("entropy_over_queries", "entropy", 0.5 * math.log(2)),
        ("diagonal_summed", "diagonal_mass", 0.25),
        ("max_of_means", "max_attention", 0.75),
    ],
)
def test_the_statistics(name: str, measure: str, expected: float):
    operate = find_fault(name).operate
    assert operate is not None
    found, usual = operate(Circuit()).measure(WEIGHTS), Circuit().measure(WEIGHTS)
    assert found[measure].item() == pytest.approx(expected, nan_ok=True)
    assert {other: found[other] for other in found if other != measure} == {
        other: usual[other] for other in usual if other != measure
    }
