"""Softmax and mask, worked out with a pencil."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults import find_fault
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, leave_unscaled
from tests.faults.probes import close, draw, faulty, given, matrix, run, run_usual

INF, NAN = math.inf, math.nan


SCORES = matrix([0.0, math.log(2)], [math.log(3), 0.0])
"""Exponentials 1 2 / 3 1."""


def normalised(name: str, scores: Tensor = SCORES, allowed: Tensor | None = None) -> Tensor:
    """Return the weights that the fault makes of these scores."""
    base = Circuit().replace(scale=leave_unscaled)
    n = scores.shape[-1]
    key, value = torch.eye(n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)
    return faulty(name, base).run(given(scores, key, value, allowed=allowed))[1]


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
    weights = faulty("mask_subtracted").run(given(*tensors, bias=matrix([0.0, math.log(3)])))[1]
    assert close(weights, [3 / 4, 1 / 4])
    hidden = given(*tensors, allowed=torch.tensor([[True, False]]), bias=torch.zeros(1, 2, dtype=torch.float64))
    assert close(faulty("mask_subtracted").steps(hidden).masked, [0.0, INF])


def test_a_mask_before_the_scale_counts_less():
    bias = matrix([0.0, 6.0, 0.0])
    call = given(draw(1, 4), draw(3, 4, seed=1), draw(3, 2), allowed=torch.tensor([[True, True, False]]), bias=bias)
    right, wrong = Circuit().steps(call).masked, faulty("mask_before_scale").steps(call).masked
    assert close(right[0, :2] - wrong[0, :2], [0.0, 3.0])
    assert wrong[0, 2] == -INF
    assert close(faulty("mask_before_scale").run(call, scale=False)[1], Circuit().run(call, scale=False)[1])


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


def test_no_mask_is_a_causal_one():
    three = draw(3, 2), draw(5, 2, seed=1), draw(5, 2, seed=2)
    causal = causal_mask(3, 5).dense()
    fault = find_fault("none_mask_is_causal")
    assert close(run(fault, *three)[1], run_usual(*three, allowed=causal)[1])
    everything = torch.ones(3, 5, dtype=torch.bool)
    assert close(run(fault, *three, allowed=everything)[1], run_usual(*three)[1])


def pattern(name: str, n_q: int, n_k: int) -> str:
    """Draw what the fault makes of causal attention that ends with the last key."""
    allowed = faulty(name, Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())).pattern(n_q, n_k)
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
    assert faulty("causal_reversed").pattern(2, 3) is None


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
