import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.ops import logsumexp, softmax, working_dtype
from tests.ops.probes import draw

INF = float("inf")


def test_two_numbers_by_hand():
    weights = softmax(torch.tensor([math.log(3.0), 0.0], dtype=torch.float64))
    assert weights.tolist() == pytest.approx([0.75, 0.25], abs=1e-15)
    assert logsumexp(torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)).item() == pytest.approx(math.log(4.0))


@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_equals_torch_in_value_and_gradient(dim: int):
    scores = draw(3, 5, 7, seed=0).requires_grad_()
    upstream = draw(3, 5, 7, seed=1)
    (ours,) = torch.autograd.grad((softmax(scores, dim) * upstream).sum(), scores)
    (theirs,) = torch.autograd.grad((torch.softmax(scores, dim) * upstream).sum(), scores)
    assert torch.allclose(softmax(scores, dim), torch.softmax(scores, dim), rtol=0, atol=1e-15)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-14)
    assert torch.allclose(logsumexp(scores, dim), torch.logsumexp(scores, dim), rtol=0, atol=1e-14)
    (log_gradient,) = torch.autograd.grad(logsumexp(scores, dim).sum(), scores)
    assert torch.allclose(log_gradient, torch.softmax(scores, dim), rtol=0, atol=1e-14)


def test_an_empty_row_gives_zeros_and_no_gradient():
    scores = torch.tensor([[-INF, -INF, -INF], [0.0, -INF, 0.0]], dtype=torch.float64, requires_grad=True)
    weights = softmax(scores)
    assert weights.tolist() == [[0, 0, 0], [0.5, 0, 0.5]]
    (gradient,) = torch.autograd.grad((weights * torch.tensor([3.0, 1.0, 2.0])).sum(), scores)
    assert gradient.tolist() == [[0, 0, 0], [0.25, 0, -0.25]]
    assert logsumexp(scores).tolist() == [-INF, math.log(2.0)]
    (gradient,) = torch.autograd.grad(logsumexp(scores).sum(), scores)
    assert gradient.tolist() == [[0, 0, 0], [0.5, 0, 0.5]]


def test_an_empty_axis_gives_an_empty_result():
    assert softmax(torch.empty(2, 0)).shape == (2, 0)
    assert logsumexp(torch.empty(2, 0)).tolist() == [-INF, -INF]


@pytest.mark.parametrize("size", [1e5, 1e30, -1e30])
def test_large_scores_neither_overflow_nor_vanish(size: float):
    scores = torch.tensor([size, size, size - abs(size)])
    assert softmax(scores).tolist() == [0.5, 0.5, 0.0]
    assert logsumexp(scores).item() == pytest.approx(size, rel=1e-5)


def test_nan_stays_in_its_row():
    weights = softmax(torch.tensor([[math.nan, 0.0], [0.0, 0.0]]))
    assert weights[0].isnan().all()
    assert weights[1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_result_is_the_exact_one_rounded_once(dtype: torch.dtype):
    scores = (10 * draw(7, 11, seed=5)).to(dtype)
    exact = torch.softmax(scores.double(), -1)
    spacing = torch.finfo(dtype).eps * exact.clamp_min(torch.finfo(dtype).smallest_normal)
    weights = softmax(scores)
    assert weights.dtype == dtype
    assert ((weights.double() - exact).abs() <= 0.5001 * spacing).all()


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(-1e3, 1e3))
def test_rows_sum_to_one_and_a_shift_changes_nothing(row: list[float], shift: float):
    scores = torch.tensor(row, dtype=torch.float64)
    weights = softmax(scores)
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0).all()
    assert torch.allclose(softmax(scores + shift), weights, rtol=1e-9, atol=1e-12)
    assert torch.allclose(torch.exp(scores - logsumexp(scores)), weights, rtol=1e-12, atol=0)


def test_the_caller_keeps_its_tensor():
    scores = draw(3, 5, seed=9)
    before = scores.clone()
    softmax(scores)
    logsumexp(scores)
    assert torch.equal(scores, before)


def test_the_working_dtype_is_one_precision_up():
    assert working_dtype(torch.float16) == working_dtype(torch.bfloat16) == torch.float32
    assert working_dtype(torch.float32) == working_dtype(torch.float64) == torch.float64
    assert working_dtype(torch.float32, "mps") == torch.float32
