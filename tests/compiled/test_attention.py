"""Outputs and gradients of the library against `ops.attention` in float64, at sizes around its blocks of 64 and 128."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from attention_surgeon.compiled import computed_by_pytorch
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import Mask, causal_mask, document_mask, padding_mask, prefix_mask, window_mask
from attention_surgeon.ops import attention
from tests.compiled.conftest import Counting

SIZES = [
    # batch, heads, n_q, n_k, d_k, d_v
    (1, 1, 1, 1, 1, 1),
    (2, 3, 5, 7, 16, 16),
    (2, 3, 67, 131, 17, 19),
    (1, 2, 64, 128, 32, 64),
    (2, 1, 65, 129, 64, 33),
    (1, 3, 130, 257, 48, 5),
    (1, 1, 63, 2053, 16, 80),
    (1, 2, 197, 300, 128, 96),
]
TOLERANCE = 4e-6
"""Of the largest number of each result; scores are of size 1, and float32 ends at 1e-7."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_cells(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(9)) < 0.4


MASKS: dict[str, Callable[[int, int, int, int], Mask | Tensor | None]] = {
    "none": lambda batch, heads, n_q, n_k: None,
    "causal": lambda batch, heads, n_q, n_k: causal_mask(n_q, n_k),
    "window": lambda batch, heads, n_q, n_k: window_mask(n_q, n_k, size=min(11, n_k)),
    "documents": lambda batch, heads, n_q, n_k: document_mask(torch.arange(n_q) // 9, torch.arange(n_k) // 11),
    "documents in no order": lambda batch, heads, n_q, n_k: document_mask(
        torch.arange(n_q) % 3, torch.arange(n_k).flip(0) % 3
    ),
    "prefix": lambda batch, heads, n_q, n_k: prefix_mask(n_q, n_k, prefix_len=min(3, n_k)),
    "padding of each sequence": lambda batch, heads, n_q, n_k: padding_mask(
        [max(n_k - 5 * number, 0) for number in range(batch)], n_k=n_k
    ).with_heads(),
    "boolean, written out": lambda batch, heads, n_q, n_k: random_cells(batch, heads, n_q, n_k),
    "boolean of one row": lambda batch, heads, n_q, n_k: random_cells(batch, 1, 1, n_k),
    "boolean, one run": lambda batch, heads, n_q, n_k: torch.ones(n_q, n_k).tril(n_k // 3).bool(),
    "0 and 1": lambda batch, heads, n_q, n_k: random_cells(n_q, n_k).long(),
    "added": lambda batch, heads, n_q, n_k: draw(1, heads, n_q, n_k, seed=5).masked_fill(
        ~random_cells(n_q, n_k), -torch.inf
    ),
    "nothing is seen": lambda batch, heads, n_q, n_k: torch.zeros(n_q, n_k, dtype=torch.bool),
}


def operands(
    batch: int, heads: int, n_q: int, n_k: int, d_k: int, d_v: int, shared: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    kv = heads // shared
    shapes = (batch, heads, n_q, d_k), (batch, kv, n_k, d_k), (batch, kv, n_k, d_v)
    query, key, value = (draw(*shape, seed=seed) for seed, shape in enumerate(shapes))
    return query, key, value


def wanted(query: Tensor, key: Tensor, value: Tensor, mask: Mask | Tensor | None) -> tuple[Tensor, Tensor]:
    """Return output and log-sum-exp in float64; a head of key and value is repeated for those that share it."""
    groups = query.shape[-3] // key.shape[-3]
    key, value = (x.double().repeat_interleave(groups, -3) for x in (key, value))
    added = mask.double() if isinstance(mask, Tensor) and mask.is_floating_point() else mask
    output, _ = attention(query.double(), key, value, added)
    scores = query.double() @ key.mT / query.shape[-1] ** 0.5
    if isinstance(mask, Mask):
        mask = mask.dense()
    if mask is not None:
        scores = scores + mask if mask.is_floating_point() else scores.masked_fill(mask == 0, -torch.inf)
    is_empty = (scores == -torch.inf).all(-1)
    return output, scores.masked_fill(is_empty[..., None], 0.0).logsumexp(-1).masked_fill(is_empty, -torch.inf)


def assert_near(found: Tensor, expected: Tensor) -> None:
    found, expected = found.detach(), expected.detach()
    assert found.shape == expected.shape
    size = expected[expected.isfinite()].abs().max().clamp(min=1e-3) if bool(expected.isfinite().any()) else 1.0
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=float(TOLERANCE * size))


def assert_gradients_near(output: Tensor, expected: Tensor, given: list[Tensor]) -> None:
    along = draw(*output.shape, seed=7)
    found = torch.autograd.grad(output, given, along)
    true = torch.autograd.grad(expected, given, along.double())
    for mine, theirs in zip(found, true, strict=True):
        assert_near(mine, theirs)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_output_and_gradients_are_the_oracles(counted: Counting, size: tuple[int, ...], name: str) -> None:
    batch, heads, n_q, n_k, *_ = size
    mask = MASKS[name](batch, heads, n_q, n_k)
    given = [x.requires_grad_() for x in operands(*size)]
    output, logsumexp = tiled_attention(*given, mask, return_logsumexp=True)
    expected, expected_log = wanted(*given, mask)
    assert_near(output, expected)
    assert_near(logsumexp, expected_log)
    assert counted.calls["attention_forward"]
    assert not counted.refused["attention_forward"]

    along, along_log = draw(*output.shape, seed=7), draw(*logsumexp.shape, seed=8)
    seen = expected_log.isfinite()
    found = torch.autograd.grad([output, logsumexp], given, [along, along_log * seen])
    true = torch.autograd.grad([expected, expected_log[seen]], given, [along.double(), along_log[seen].double()])
    for mine, theirs in zip(found, true, strict=True):
        assert mine.is_contiguous()
        assert_near(mine, theirs)
    assert counted.calls["attention_backward"]
    assert not counted.refused["attention_backward"]


@pytest.mark.parametrize("shared", [2, 4])
@pytest.mark.parametrize("name", ["none", "causal", "boolean, written out"])
@pytest.mark.parametrize("n_q", [1, 70])
def test_heads_that_share_keys(counted: Counting, n_q: int, name: str, shared: int) -> None:
    mask = MASKS[name](2, 4, n_q, 131)
    given = [x.requires_grad_() for x in operands(2, 4, n_q, 131, 24, 40, shared)]
    output = tiled_attention(*given, mask, use_shared_heads=True)
    expected, _ = wanted(*given, mask)
    assert_near(output, expected)
    assert_gradients_near(output, expected, given)
    assert not counted.refused["attention_forward"] + counted.refused["attention_backward"]


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("n_q", "n_k"), [(1, 1), (1, 2053), (2, 129), (3, 4100), (4, 127)])
def test_few_queries(counted: Counting, n_q: int, n_k: int, name: str) -> None:
    mask = MASKS[name](2, 2, n_q, n_k)
    given = operands(2, 2, n_q, n_k, 32, 48)
    assert_near(tiled_attention(*given, mask), wanted(*given, mask)[0])
    assert sum(counted.calls.values())
    assert not counted.refused["attention_forward"] + counted.refused["attention_plain"]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1, 4, 5000, 16, 16), (1, 1, 200, 333, 32, 32), (1, 3, 150, 170, 16, 16)], ids=str)
def test_any_number_of_threads(counted: Counting, size: tuple[int, ...], threads: int, monkeypatch) -> None:
    monkeypatch.setattr("attention_surgeon.compiled.library.ALONE", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        given = [x.requires_grad_() for x in operands(*size)]
        results = [
            [output, *torch.autograd.grad(output, given, draw(*output.shape, seed=7))]
            for output in (tiled_attention(*given, causal_mask(*size[2:4])) for _ in range(3))
        ]
    finally:
        torch.set_num_threads(before)
    assert_near(results[0][0], wanted(*given, causal_mask(*size[2:4]))[0])
    for again in results[1:]:  # sums are made in one order
        assert all(torch.equal(one, other) for one, other in zip(results[0], again, strict=True))
    assert not counted.refused["attention_forward"] + counted.refused["attention_backward"]


def test_threads_of_its_own(counted: Counting, monkeypatch) -> None:
    """Where PyTorch's own threads cannot be called."""
    given = operands(1, 2, 300, 300, 32, 32)
    expected = tiled_attention(*given, causal_mask(300))
    monkeypatch.setattr("attention_surgeon.kernels.compiled.team", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(tiled_attention(*given, causal_mask(300)), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("n_q", [1, 70])
def test_however_it_lies_in_memory(counted: Counting, n_q: int) -> None:
    query, key, value = operands(2, 3, n_q, 150, 16, 32)
    forms = {
        "rows apart": (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (query, key, value)),
        "sizes apart": (x.mT.contiguous().mT for x in (query, key, value)),
        "every second": (x.repeat_interleave(2, -2)[..., ::2, :] for x in (query, key, value)),
        "part of a longer one": (torch.cat([x, x], -1)[..., : x.shape[-1]] for x in (query, key, value)),
        "negated lazily": (torch.complex(x, -x).conj().imag for x in (query, key, value)),
    }
    for form in forms.values():
        assert_near(tiled_attention(*form), wanted(query, key, value, None)[0])
    wide = [x[:1, :1].expand(2, 3, -1, -1) for x in (query, key, value)]
    assert_near(tiled_attention(*wide), wanted(*wide, None)[0])
    assert not counted.refused["attention_forward"] + counted.refused["attention_plain"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_summed_in_float32(counted: Counting, dtype: torch.dtype) -> None:
    given = [x.to(dtype) for x in operands(1, 2, 70, 150, 32, 32)]
    output = tiled_attention(*given, causal_mask(70, 150))
    assert output.dtype == dtype
    assert torch.equal(output, tiled_attention(*(x.float() for x in given), causal_mask(70, 150)).to(dtype))
    assert counted.calls["attention_forward"] == 2


@pytest.mark.parametrize("n_q", [1, 70])
@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("row", [0, -1])
def test_what_is_not_finite(counted: Counting, row: int, which: int, odd: float, n_q: int) -> None:
    """What the readable form makes of it, the library leaves to others; hidden, it does no harm."""
    given = list(operands(1, 2, n_q, 140, 16, 16))
    given[which][0, 1, row, 3] = odd
    with computed_by_pytorch():
        expected = tiled_attention(*given)
    torch.testing.assert_close(tiled_attention(*given), expected, equal_nan=True)
    assert counted.refused["attention_forward"] + counted.refused["attention_plain"] == 2
    if which:
        seen = torch.ones(n_q, 140, dtype=torch.bool)
        seen[:, row] = False
        clean = [x.clone() for x in given]
        clean[which][0, 1, row, 3] = 0.0
        assert_near(tiled_attention(*given, seen), wanted(*clean, seen)[0])


@pytest.mark.parametrize("odd", [torch.nan, torch.inf])
@pytest.mark.parametrize("at", [0, 3000, -1])
@pytest.mark.parametrize("which", [1, 2])
def test_what_is_not_finite_in_any_part_of_a_cache(
    counted: Counting, which: int, at: int, odd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attention_surgeon.compiled.library.ALONE", 0)
    given = list(operands(1, 1, 1, 5000, 16, 16))
    given[which][0, 0, at, 3] = odd
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = tiled_attention(*given)
    finally:
        torch.set_num_threads(before)
    with computed_by_pytorch():
        torch.testing.assert_close(found, tiled_attention(*given), equal_nan=True)
    assert counted.refused["attention_plain"] == 1


@pytest.mark.parametrize("n_q", [1, 70])
@pytest.mark.parametrize("size", [30.0, 300.0, 3e4])
def test_large_scores(counted: Counting, n_q: int, size: float) -> None:
    """So large that their rounding would show, they are computed in float64 by PyTorch."""
    query, key, value = operands(1, 2, n_q, 140, 16, 16)
    query *= size
    output = tiled_attention(query, key, value)
    torch.testing.assert_close(output.double(), wanted(query, key, value, None)[0], rtol=0, atol=3e-4)
    refused = counted.refused["attention_forward"] + counted.refused["attention_plain"]
    assert size == 300 or bool(refused) == (size > 300)


def test_whoever_records_the_calls_of_pytorch_sees_them(counted: Counting, monkeypatch) -> None:
    given = operands(1, 2, 70, 140, 16, 16)
    with FlopCounterMode(display=False) as counter:
        tiled_attention(*given)
    assert counter.get_total_flops() == 2 * 2 * 70 * 140 * (16 + 16)
    monkeypatch.setattr(torch._C, "_get_tracing_state", object)  # as torch.jit.trace sets it
    tiled_attention(*given)
    assert not counted.calls


def test_derivatives_of_a_result_of_the_library(counted: Counting) -> None:
    """The second derivative is PyTorch's, of numbers that the library left."""
    given = [x.requires_grad_() for x in operands(1, 2, 20, 30, 16, 16)]
    mask = random_cells(20, 30)
    mask[7] = False
    found, true = [], []
    for compute, into in (
        (lambda *x: tiled_attention(*x, mask), found),
        (lambda *x: wanted(*x, mask)[0], true),
    ):
        first = torch.autograd.grad(compute(*given).square().sum(), given, create_graph=True)
        into += torch.autograd.grad(sum(each.square().sum() for each in first), given)
    for mine, theirs in zip(found, true, strict=True):
        assert_near(mine, theirs)
    assert counted.calls["attention_forward"]
    assert counted.calls["attention_backward"]


@pytest.mark.parametrize("name", ["added", "boolean, written out"])
def test_a_large_mask_goes_through_in_portions(counted: Counting, name: str, monkeypatch) -> None:
    monkeypatch.setattr("attention_surgeon.kernels.compiled.ADDED", 1)
    given = [x.requires_grad_() for x in operands(1, 2, 600, 150, 16, 16)]
    mask = MASKS[name](1, 2, 600, 150)
    output = tiled_attention(*given, mask)
    expected, _ = wanted(*given, mask)
    assert_near(output, expected)
    assert_gradients_near(output, expected, given)
    assert counted.calls["attention_forward"] == counted.calls["attention_backward"] == 3


@pytest.mark.parametrize("n_q", [1, 70])
def test_exponentials_are_those_of_float32(counted: Counting, n_q: int) -> None:
    """Of two keys, whose scores differ by 0 to 30, the second gets 1 / (1 + e^difference)."""
    difference = torch.linspace(0, 30, 400)
    key = torch.zeros(400, 2, 16)
    key[:, 0, 0] = difference
    query = torch.zeros(400, n_q, 16)
    query[..., 0] = 4.0
    output = tiled_attention(query, key, torch.tensor([0.0, 1.0])[:, None].expand(400, 2, 16))
    expected = torch.sigmoid(-difference.double())[:, None, None]
    rounding = (4 + 3 * difference)[:, None, None] * 2.0**-24  # that of a score is a part of the score
    assert bool(((output.double() / expected - 1).abs() < rounding).all())
    assert sum(counted.calls.values())


def test_every_mask_of_one_run_is_handed_over_as_such(counted: Counting) -> None:
    given = operands(1, 1, 70, 140, 16, 16)
    for name, make in MASKS.items():
        before = counted.calls["attention_spans"]
        tiled_attention(*given, make(1, 1, 70, 140))
        looked = counted.calls["attention_spans"] > before
        assert looked == (name in {"boolean, written out", "boolean of one row", "boolean, one run", "nothing is seen"})


@pytest.mark.parametrize(("n_q", "n_k", "size"), [*itertools.product([33, 64, 128], [64, 128, 129], [16, 20])])
def test_sizes_that_fill_blocks_and_those_that_do_not(counted: Counting, n_q: int, n_k: int, size: int) -> None:
    given = [x.requires_grad_() for x in operands(1, 1, n_q, n_k, size, size)]
    output = tiled_attention(*given)
    expected, _ = wanted(*given, None)
    assert_near(output, expected)
    assert_gradients_near(output, expected, given)
