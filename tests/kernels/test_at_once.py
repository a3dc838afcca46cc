"""Few scores are made at once: the same answers as in tiles, and nothing that needs more care."""

import math

import pytest
import torch
from torch import Tensor

from attention_surgeon.kernels import autograd, forward, tiled_attention
from attention_surgeon.kernels.forward import ForwardResult, at_once
from attention_surgeon.kernels.operands import read_operands
from attention_surgeon.kernels.problem import Problem
from attention_surgeon.ops import share_heads
from tests.kernels.probes import Operands, assert_same, draw, operands, tiled, truth

pytestmark = pytest.mark.usefixtures("pytorch_alone")


def was_at_once(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> bool:
    given = read_operands(query, key, value, mask, False, False, "test")
    return at_once(given.plan(query.dtype, dropout, 0, "test").problem(*given.tensors())) is not None


@pytest.mark.parametrize("n_k", [1, 37, 523])
@pytest.mark.parametrize("spread", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_same_as_the_oracle(n_k: int, spread: float, dtype: torch.dtype) -> None:
    given = operands(3, n_k, dtype=dtype, spread=spread)
    error = 1e-9 if dtype == torch.float64 else 40 * torch.finfo(dtype).eps
    compared = slice(None) if spread == 1 else slice(1)  # rounding in a gradient grows with what it is multiplied by
    assert_same([x.double() for x in tiled(given)[compared]], truth(given)[compared], error)


@pytest.mark.parametrize("shared", [1, 2, 3])
def test_shared_heads_are_one_product_each(shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ForwardResult | None] = []
    usual = autograd.at_once

    def watched(problem: Problem) -> ForwardResult | None:
        made.append(usual(problem))
        return made[-1]

    monkeypatch.setattr(autograd, "at_once", watched)
    query, key, value = draw(5, 6, 3, 7, seed=1), draw(5, shared, 37, 7, seed=2), draw(5, shared, 37, 4, seed=3)
    output = tiled_attention(query, key, value, use_shared_heads=True)
    assert made[0] is not None, "the tiles have done it"
    torch.testing.assert_close(output, tiled_attention(query, share_heads(key, 6), share_heads(value, 6)))


def test_keys_that_all_share_and_values_of_no_width() -> None:
    query, key = draw(5, 6, 3, 7, seed=1), draw(37, 7, seed=2)
    torch.testing.assert_close(tiled_attention(query, key, key), tiled_attention(query, key.expand(5, 6, 37, 7), key))
    assert tiled_attention(query, key, key[:, :0]).shape == (5, 6, 3, 0)


def test_what_needs_more_care_goes_through_the_tiles() -> None:
    query, key, value = (x[0, 0] for x in operands(3, 37, dtype=torch.float32))
    assert was_at_once(query, key, value)
    assert not was_at_once(query * 1e5, key, value), "scores whose rounding would show"
    assert not was_at_once(query, key * math.nan, value)
    assert not was_at_once(query * math.inf, key, value)
    assert not was_at_once(query, key, value, torch.ones(3, 37, dtype=torch.bool))
    assert not was_at_once(query, key, value, dropout=0.5)
    assert not was_at_once(query[:0], key, value)


def test_memory_is_bounded_whatever_n(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "DIRECT_CELLS", 3 * 37)
    query, key, value = (x[0, 0] for x in operands(3, 37))
    assert was_at_once(query, key, value)
    assert not was_at_once(query, torch.cat([key, key]), torch.cat([value, value]))


def test_autograd_is_left_out_only_where_nothing_is_differentiated(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[str] = []
    usual = autograd.Attention.apply
    monkeypatch.setattr(autograd.Attention, "apply", lambda *args: applied.append("applied") or usual(*args))
    given = operands(3, 37)
    tiled_attention(*given)
    with torch.no_grad():
        tiled_attention(*(x.clone().requires_grad_() for x in given))
    assert applied == []
    tiled_attention(given.query, given.key, given.value.clone().requires_grad_())
    tiled_attention(*given, torch.zeros(3, 37, requires_grad=True, dtype=torch.float64))
    torch.func.vmap(tiled_attention)(*given)
    assert len(applied) >= 3


def test_second_derivatives_follow() -> None:
    query, key, value = (x[0, 0].requires_grad_() for x in operands(3, 37))
    assert torch.autograd.gradgradcheck(
        lambda *x: tiled_attention(*x, return_logsumexp=True), Operands(query, key, value), fast_mode=True
    )
