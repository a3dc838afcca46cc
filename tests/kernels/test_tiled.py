"""Tiled attention against the oracle: every mask, every way to cut, forward and backward."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attention_surgeon import masks
from attention_surgeon.kernels import problem, tiled_attention, visible
from attention_surgeon.ops import attention, attention_gradients, logsumexp, share_heads
from attention_surgeon.testing import check_attention
from tests.kernels.probes import (
    BATCH,
    D_K,
    D_V,
    HEADS,
    MASK_NAMES,
    MASKS,
    N_K,
    N_Q,
    Operands,
    assert_same,
    build_mask,
    draw,
    operands,
    output_and_gradients,
    tiled,
    truth,
)

pytestmark = pytest.mark.usefixtures("computed_by")

EXACT = 1e-12


@pytest.mark.parametrize("name", MASKS)
def test_same_as_the_oracle_with(name: str, small_tiles: None) -> None:
    given, mask = operands(), MASKS[name](N_Q, N_K)
    assert_same(tiled(given, mask), truth(given, mask), EXACT)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("spread", [30.0, 3000.0])
def test_large_scores_with(name: str, spread: float, small_tiles: None) -> None:
    given, mask = operands(spread=spread), MASKS[name](N_Q, N_K)
    assert_same(tiled(given, mask), truth(given, mask), 1e-9)


@pytest.mark.parametrize("name", MASKS)
def test_more_queries_than_keys_with(name: str, small_tiles: None) -> None:
    given, mask = operands(N_K, N_Q), MASKS[name](N_K, N_Q)
    assert_same(tiled(given, mask), truth(given, mask), EXACT)


@pytest.mark.parametrize("name", ["none", "causal", "documents", "boolean for each head", "padding", "added"])
def test_workers_change_nothing_but_the_order_with(name: str, small_tiles: None, three_workers: None) -> None:
    given, mask = operands(), MASKS[name](N_Q, N_K)
    ours = tiled(given, mask)
    assert_same(ours, truth(given, mask), EXACT)
    assert all(torch.equal(first, second) for first, second in zip(ours, tiled(given, mask), strict=True))


def test_tiles_of_their_real_size() -> None:
    given = Operands(draw(521, 3, seed=1), draw(1031, 3, seed=2), draw(1031, 2, seed=3))
    for mask in (None, masks.causal_mask(521, 1031), masks.window_mask(521, 1031, size=257)):
        assert_same(tiled(given, mask), truth(given, mask), EXACT)


@settings(max_examples=40)
@given(
    n_q=st.integers(1, 23),
    n_k=st.integers(1, 29),
    names=MASK_NAMES,
    number=st.integers(1, 40),
    spread=st.sampled_from([1.0, 100.0]),
    tile=st.sampled_from([(4, 8), (8, 4), (5, 3), (16, 7), (256, 512)]),
)
def test_any_sizes_and_masks(
    n_q: int, n_k: int, names: tuple[str, ...], number: int, spread: float, tile: tuple[int, int]
) -> None:
    given_, mask = operands(n_q, n_k, seed=number, spread=spread), build_mask(names, number, n_q, n_k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "ROWS", tile[0])
        patch.setattr(problem, "WIDTH", tile[1])
        patch.setattr(visible.VisibleByMask, "grains", (4 * tile[1], tile[1], 1))
        patch.setattr(visible.VisibleByTensor, "grains", (tile[1],))
        assert_same(tiled(given_, mask), truth(given_, mask), 1e-10)


@pytest.mark.parametrize("scale", [True, False, 0.37, -0.5, 0, 2])
def test_scale(scale: bool | float, small_tiles: None) -> None:
    given = operands()
    factor = {True: 1 / math.sqrt(D_K), False: 1.0}[scale] if isinstance(scale, bool) else scale
    scaled = given._replace(query=given.query * factor)
    output, d_query, *others = truth(scaled, scale=False)
    assert_same(tiled(given, scale=scale), [output, d_query * factor, *others], EXACT)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("name", ["none", "causal", "padding", "boolean for each sequence"])
def test_shared_heads(kv_heads: int, name: str, small_tiles: None, three_workers: None) -> None:
    query = draw(BATCH, 6, N_Q, D_K, seed=1)
    given = Operands(query, draw(BATCH, kv_heads, N_K, D_K, seed=2), draw(BATCH, kv_heads, N_K, D_V, seed=3))
    mask = MASKS[name](N_Q, N_K)
    theirs = output_and_gradients(lambda q, k, v: attention(q, share_heads(k, 6), share_heads(v, 6), mask)[0], given)
    assert_same(tiled(given, mask, use_shared_heads=True), theirs, EXACT)


def test_shared_heads_follow_each_other() -> None:
    """Two heads for six serve 0 0 0 1 1 1."""
    value = torch.tensor([1.0, 2.0]).reshape(2, 1, 1)
    output = tiled_attention(torch.ones(6, 1, 3), torch.ones(2, 1, 3), value, use_shared_heads=True)
    assert output.flatten().tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    "shapes",
    [
        [(), (), ()],
        [(BATCH, HEADS), (HEADS,), (HEADS,)],
        [(BATCH, HEADS), (BATCH, 1), (1, HEADS)],
        [(HEADS,), (BATCH, HEADS), ()],
        [(BATCH, 1, HEADS), (7, 1), (1,)],
    ],
)
def test_batch_axes_broadcast(shapes: list[tuple[int, ...]], small_tiles: None, three_workers: None) -> None:
    sizes = ((N_Q, D_K), (N_K, D_K), (N_K, D_V))
    given = Operands(*(draw(*a, *b, seed=n) for n, (a, b) in enumerate(zip(shapes, sizes, strict=True))))
    mask = masks.causal_mask(N_Q, N_K)
    assert_same(tiled(given, mask), truth(given, mask), EXACT)


@pytest.mark.parametrize("heads", [1, 2, 3, 11, 17])
def test_many_heads_in_a_narrow_band(heads: int, small_tiles: None, three_workers: None) -> None:
    """Heads of a narrow band go through torch together, in blocks of half as many queries."""
    given = Operands(draw(heads, N_K, D_K, seed=1), draw(heads, N_K, D_K, seed=2), draw(heads, N_K, D_V, seed=3))
    for mask in (masks.window_mask(N_K, size=3), masks.window_mask(N_K, size=2, is_causal=False)):
        assert_same(tiled(given, mask), truth(given, mask), EXACT)


def test_a_narrow_band_is_cut_into_narrow_blocks() -> None:
    cuts = {}
    for heads, size in ((1, 256), (2, 256), (13, 256), (13, 2000)):
        x = torch.zeros(heads, 4099, 1)
        band = visible.VisibleByMask(masks.window_mask(4099, size=size), x.device)
        blocks = problem.Problem(x, x, x, list(range(heads)), band, [0] * heads, factor=1.0).blocks()
        assert sum((b.units.stop - b.units.start) * (b.rows.stop - b.rows.start) for b in blocks) == heads * 4099
        cuts[heads, size] = blocks[0]
    assert cuts == {
        (1, 256): (slice(0, 1), slice(0, problem.ROWS)),
        (2, 256): (slice(0, 2), slice(0, problem.ROWS)),
        (13, 256): (slice(0, problem.NARROW_UNITS), slice(0, problem.ROWS // 2)),
        (13, 2000): (slice(0, 1), slice(0, problem.ROWS)),
    }


@pytest.mark.parametrize("name", MASKS)
def test_no_memory_counts_that_was_not_written(name: str, small_tiles: None) -> None:
    given, mask = operands(), MASKS[name](N_Q, N_K)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # fills fresh memory with NaN
    try:
        assert torch.empty(3).isnan().all()
        assert_same(tiled(given, mask), truth(given, mask), EXACT)
    finally:
        torch.use_deterministic_algorithms(before)


def test_keys_are_not_repeated_in_memory() -> None:
    """A thousand heads share one key head of a mebibyte; repeated it would take a gibibyte."""
    query, shared = torch.zeros(1000, 1, 64), torch.zeros(1, 4096, 64)
    assert tiled_attention(query, shared, shared, use_shared_heads=True).shape == query.shape


@pytest.mark.parametrize("n_q", [0, 1, 5])
@pytest.mark.parametrize("n_k", [0, 1, 7])
def test_few_or_none(n_q: int, n_k: int) -> None:
    given = operands(n_q, n_k)
    assert_same(tiled(given), truth(given), EXACT)
    assert_same(tiled(given, masks.causal_mask(n_q, n_k)), truth(given, masks.causal_mask(n_q, n_k)), EXACT)


def test_no_batch_entries() -> None:
    assert tiled_attention(torch.ones(0, 5, 3), torch.ones(0, 7, 3), torch.ones(0, 7, 2)).shape == (0, 5, 2)


def test_a_query_without_keys_gets_zeros(small_tiles: None) -> None:
    given, mask = operands(), MASKS["boolean"](N_Q, N_K)
    output, d_query, *_ = tiled(given, mask)
    assert not output[..., 1, :].any()
    assert not d_query[..., 1, :].any()


@pytest.mark.parametrize("spread", [1.0, 300.0, 1e5])
@pytest.mark.parametrize("name", ["none", "causal", "added", "nothing"])
def test_logsumexp(name: str, spread: float, small_tiles: None) -> None:
    given, mask = operands(spread=spread), MASKS[name](N_Q, N_K)
    _, ours = tiled_attention(*given, mask, return_logsumexp=True)
    scores = given.query @ given.key.mT / math.sqrt(D_K)
    if isinstance(mask, masks.Mask):
        mask = mask.dense()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    torch.testing.assert_close(ours, logsumexp(scores), rtol=1e-13, atol=1e-13)


def test_gradient_of_logsumexp(small_tiles: None) -> None:
    def ours(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [x.flatten() for x in tiled_attention(q, k, v, masks.causal_mask(N_Q, N_K), return_logsumexp=True)]
        )

    def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        hidden = ~masks.causal_mask(N_Q, N_K).dense()
        scores = (q @ k.mT / math.sqrt(D_K)).masked_fill(hidden, -torch.inf)
        return torch.cat([(torch.softmax(scores, -1) @ v).flatten(), torch.logsumexp(scores, -1).flatten()])

    assert_same(output_and_gradients(ours, operands()), output_and_gradients(plain, operands()), EXACT)


def test_gradient_of_logsumexp_alone() -> None:
    query, key, value = operands()
    query.requires_grad_()
    tiled_attention(query, key, value, return_logsumexp=True)[1].sum().backward()
    weights = attention(query.detach(), key, value)[1]
    torch.testing.assert_close(query.grad, weights @ key / math.sqrt(D_K))


@pytest.mark.parametrize("shape", [(N_Q, N_K), (HEADS, 1, N_K), (BATCH, 1, N_Q, N_K), (N_K,), (N_Q, 1)])
def test_gradient_of_a_floating_mask(shape: tuple[int, ...], small_tiles: None, three_workers: None) -> None:
    given = operands()
    ours, theirs = (draw(*shape, seed=7).requires_grad_() for _ in range(2))
    found = output_and_gradients(lambda q, k, v: tiled_attention(q, k, v, ours), given, ours)
    expected = output_and_gradients(lambda q, k, v: attention(q, k, v, theirs)[0], given, theirs)
    assert_same(found, expected, EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["none", "causal", "boolean", "added"])
def test_narrow_dtypes(dtype: torch.dtype, name: str, small_tiles: None) -> None:
    given, mask = operands(dtype=dtype), MASKS[name](N_Q, N_K)
    ours = tiled(given, mask.to(dtype) if name == "added" else mask)
    assert all(x.dtype == dtype for x in ours)
    expected = truth(given, mask.to(dtype).double() if name == "added" else mask)
    assert_same([x.double() for x in ours], expected, 4 * torch.finfo(dtype).eps)


def test_the_logsumexp_of_narrow_dtypes_is_wide() -> None:
    logs = tiled_attention(*operands(dtype=torch.bfloat16), return_logsumexp=True)[1]
    assert logs.dtype == torch.float32


@pytest.mark.parametrize("largest", [1.0, 30.0, 200.0, 1e3, 1e4])
@pytest.mark.parametrize("name", ["none", "causal", "boolean"])
def test_no_further_from_the_truth_than_sdpa(largest: float, name: str, small_tiles: None) -> None:
    """Twice its error is allowed, as two roundings of the same size may fall either way."""
    given, mask = operands(dtype=torch.float32), MASKS[name](N_Q, N_K)
    factor = largest * math.sqrt(D_K) / float((given.query @ given.key.mT).abs().max())
    given = given._replace(query=given.query * factor)
    dense = mask.dense() if isinstance(mask, masks.Mask) else mask
    theirs = output_and_gradients(lambda q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=dense), given)
    for ours, other, true in zip(tiled(given, mask), theirs, truth(given, mask), strict=True):
        error, allowed = (float((x.double() - true).norm()) for x in (ours, other))
        assert error <= 2 * allowed + 1e-7


def test_huge_scores_in_float32_are_known_exactly(small_tiles: None) -> None:
    """Rounded to float32, scores of 10⁴ are off by 10⁻³, and so would be the weights."""
    given = operands(dtype=torch.float32)
    given = given._replace(query=given.query * (1e4 / float((given.query @ given.key.mT).abs().max())))
    output = tiled_attention(*given, scale=False)
    assert_same([output.double()], truth(given, scale=False)[:1], 1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["causal from the start", "padding", "boolean of one row", "added of one row"])
@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_what_is_hidden_does_not_leak(bad: float, name: str, spread: float, small_tiles: None) -> None:
    """Nothing that cannot be seen changes anything, also where it is no number."""
    given, mask = operands(spread=spread), MASKS[name](N_Q, N_K)
    dense = mask.dense() if isinstance(mask, masks.Mask) else mask
    seen = dense if dense.dtype == torch.bool else dense > -torch.inf
    unseen = ~seen.expand(BATCH, HEADS, N_Q, N_K).any(-2)
    assert unseen.any(), "the mask must hide some key from everybody"
    hurt = given._replace(
        key=given.key.masked_fill(unseen[..., None], bad), value=given.value.masked_fill(unseen[..., None], bad)
    )
    clean = given._replace(
        key=given.key.masked_fill(unseen[..., None], 0.0), value=given.value.masked_fill(unseen[..., None], 0.0)
    )
    assert_same(tiled(hurt, mask), tiled(clean, mask), EXACT)


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_a_visible_nan_reaches_those_who_see_it_and_nobody_else(spread: float, small_tiles: None) -> None:
    given = operands(spread=spread)
    value = given.value.clone()
    value[..., 29, 4] = math.nan
    output = tiled_attention(given.query, given.key, value, masks.causal_mask(N_Q, N_K))
    expected = torch.zeros(N_Q, D_V, dtype=torch.bool)
    expected[29 - (N_K - N_Q) :, 4] = True
    assert torch.equal(output.isnan(), expected.expand(output.shape))


def test_nan_in_a_gradient_reaches_what_it_came_from_and_nobody_else(small_tiles: None) -> None:
    leaves = [x.requires_grad_() for x in operands()]
    output = tiled_attention(*leaves, masks.causal_mask(N_Q, N_K, align="start"))
    upstream = torch.ones_like(output)
    upstream[..., 10, 3] = math.nan
    _, d_key, d_value = torch.autograd.grad(output, leaves, upstream)
    assert torch.equal(d_key[0, 0].isnan().any(-1), torch.arange(N_K) <= 10)
    assert torch.equal(d_value[0, 0].isnan().any(-1), torch.arange(N_K) <= 10)


def test_nobody_writes_into_the_arguments(small_tiles: None) -> None:
    given, mask = operands(), MASKS["added"](N_Q, N_K)
    before = [x.clone() for x in (*given, mask)]
    tiled(given, mask)
    assert all(torch.equal(one, other) for one, other in zip(before, (*given, mask), strict=True))


def test_strides_of_any_kind(small_tiles: None) -> None:
    query, key, value = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in operands())
    mask = MASKS["boolean"](N_K, N_Q).mT
    given = Operands(query, key, value)
    assert not query.is_contiguous()
    assert_same(tiled(given, mask), truth(given, mask), EXACT)


def test_inference_mode_and_no_grad(three_workers: None) -> None:
    given = operands()
    expected = truth(given)[:1]
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            assert_same([tiled_attention(*given)], expected, EXACT)


def test_autocast_does_not_round_the_sums() -> None:
    given = operands(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = tiled_attention(*given)
    assert_same([ours.double()], truth(given)[:1], 1e-6)


def test_it_keeps_the_contract_of_attention() -> None:
    check_attention(tiled_attention)


def test_gradients_written_by_hand_agree(small_tiles: None) -> None:
    given, mask = operands(), MASKS["causal"](N_Q, N_K)
    upstream = draw(BATCH, HEADS, N_Q, D_V, seed=101)
    by_hand = attention_gradients(*given, upstream, mask)
    assert_same(tiled(given, mask)[1:], [by_hand.query, by_hand.key, by_hand.value], EXACT)


def test_large_numbers_that_a_mask_adds_are_known_exactly():
    """A score of 3,000 is known to 10⁻⁴ in float32, but its difference to another is what counts."""
    query, key, value = (draw(2, n, 16, seed=n + at, dtype=torch.float32) for at, n in enumerate((70, 90, 90)))
    mask = (3000 + draw(70, 90, seed=7)).float()
    expected, _ = attention(query.double(), key.double(), value.double(), mask.double())
    torch.testing.assert_close(tiled_attention(query, key, value, mask).double(), expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("n_q", [1, 70])
def test_float64_stays_float64_where_nothing_is_differentiated(n_q: int):
    """Whole numbers, whose bytes are harmless where somebody takes them for float32."""
    query, key, value = (draw(2, n, 16, seed=n + at).round() for at, n in enumerate((n_q, 90, 90)))
    torch.testing.assert_close(tiled_attention(query, key, value), attention(query, key, value)[0], rtol=0, atol=EXACT)
