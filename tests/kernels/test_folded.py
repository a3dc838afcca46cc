"""A band of few heads, folded into units: the answer is the oracle's, also at both ends and for what is never seen."""

import pytest
import torch
from torch import Tensor

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.kernels.folded import ROWS, folded
from attention_surgeon.kernels.operands import read_operands
from attention_surgeon.kernels.problem import Problem
from attention_surgeon.masks import Mask, causal_mask, document_mask, reverse_mask, window_mask
from attention_surgeon.ops import attention

pytestmark = pytest.mark.usefixtures("pytorch_alone")

BANDS = {
    "a window": (1499, 1499, window_mask(1499, size=100)),
    "both sides": (1409, 1409, window_mask(1409, size=83, is_causal=False)),
    "with a cache": (1423, 1709, window_mask(1423, 1709, size=211)),
    "first queries without keys": (1637, 1471, window_mask(1637, 1471, size=61)),
    "as wide as a tile": (1999, 1999, window_mask(1999, size=385)),
}


def drawn(heads: int, n_q: int, n_k: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    sizes = ((heads, n_q, 5), (heads, n_k, 5), (heads, n_k, 7))
    query, key, value = (torch.randn(*size, generator=generator, dtype=dtype) for size in sizes)
    return query, key, value


def problem(heads: int, n_q: int, n_k: int, mask: Mask) -> Problem:
    given = read_operands(*drawn(heads, n_q, n_k), mask, True, False, "test")
    return given.plan(torch.float64, 0.0, 0, "test").problem(*given.tensors())


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("heads", [1, 3])
def test_output_and_log_sum_exp_are_the_oracles(name: str, heads: int):
    n_q, n_k, mask = BANDS[name]
    assert folded(problem(heads, n_q, n_k, mask)) is not None
    query, key, value = drawn(heads, n_q, n_k)
    output, total = tiled_attention(query, key, value, mask, return_logsumexp=True)
    wanted, _ = attention(query, key, value, mask)
    assert torch.allclose(output, wanted, rtol=0, atol=1e-12)
    scores = (query @ key.mT / 5**0.5).masked_fill(~mask.dense(), -torch.inf)
    assert torch.allclose(total, scores.logsumexp(-1), rtol=0, atol=1e-12)


def test_the_middle_is_folded_and_the_ends_are_not():
    part = folded(problem(2, 1499, 1499, window_mask(1499, size=100)))
    assert part is not None
    assert (part.rows, len(part.problems)) == (slice(ROWS, 1408), 2)
    assert part.problems[1].key.shape == (10, 2 * ROWS, 5)
    assert part.problems[1].key.untyped_storage().nbytes() == 2 * 1499 * 5 * 8
    assert [block.rows for block in part.rest(2, 1499)[::2]] == [slice(0, 128), slice(1408, 1499)]


@pytest.mark.parametrize(
    ("heads", "mask"),
    [
        (1, causal_mask(1499)),
        (1, reverse_mask(1499)),
        (1, window_mask(1499, size=600)),
        (1, document_mask(torch.arange(1499) // 50)),
        (1, window_mask(1499, size=100) & document_mask(torch.arange(1499) // 700)),
        (1, window_mask(900, size=100)),
        (8, window_mask(1499, size=100)),
    ],
    ids=str,
)
def test_what_is_no_narrow_band_of_few_heads_stays_as_it_is(heads: int, mask: Mask):
    assert folded(problem(heads, mask.shape[-2], mask.shape[-1], mask)) is None


@pytest.mark.parametrize("name", ["with a cache", "as wide as a tile"])
def test_gradients_are_the_oracles(name: str):
    n_q, n_k, mask = BANDS[name]
    query, key, value = given = drawn(1, n_q, n_k)
    for x in given:
        x.requires_grad_()
    ours = torch.autograd.grad(tiled_attention(query, key, value, mask).square().sum(), given)
    wanted = torch.autograd.grad(attention(query, key, value, mask)[0].square().sum(), given)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(ours, wanted, strict=True))


def test_keys_that_are_not_seen_may_be_anything():
    query, key, value = drawn(1, 1499, 1499, torch.float32)
    mask = window_mask(1499, size=100)
    wanted = tiled_attention(query, key, value, mask)
    key[:, 1450:], value[:, 1450:] = torch.nan, torch.inf
    output = tiled_attention(query, key, value, mask)
    assert torch.allclose(output[:, :1450], wanted[:, :1450], rtol=0, atol=1e-6)
    assert output[:, 1450:].isnan().all()
