"""The scan against weights that are written out: every number, every cell, at odd sizes under every kind of mask."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon.errors import NonFiniteError
from attention_surgeon.masks import Mask, causal_mask, padding_mask, window_mask
from attention_surgeon.stats import (
    head_statistics,
    pool_weights,
    scan_attention,
    scan_map,
    scan_similarity,
    scan_top_keys,
    top_keys,
)
from attention_surgeon.stats.row_sums import RowSums
from attention_surgeon.stats.scan.group import COLUMNS
from attention_surgeon.stats.scan.plan import SAFE_SCORE
from tests.stats.scan_probes import DRAWN_MASKS, DrawnMask, assert_same_numbers, dense_weights, draw

pytestmark = pytest.mark.usefixtures("computed_by")

HEADS, KV_HEADS, D_K, D_V = 6, 2, 5, 3


def operands(n_q: int, n_k: int, batch: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    return (
        draw(batch, HEADS, n_q, D_K, dtype=dtype),
        draw(batch, KV_HEADS, n_k, D_K, seed=1, dtype=dtype),
        draw(batch, KV_HEADS, n_k, D_V, seed=2, dtype=dtype),
    )


@settings(max_examples=40)
@given(
    st.integers(1, 41),
    st.integers(1, 43),
    DRAWN_MASKS,
    st.sampled_from([0.3, 3.0, 40.0]),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.003, 0.1]),
)
def test_every_number_is_that_of_the_weights_written_out(
    n_q: int, n_k: int, drawn: DrawnMask, gain: float, window: int, threshold: float
):
    query, key = draw(2, n_q, D_K) * gain, draw(1, n_k, D_K, seed=1)
    mask = drawn.of(n_q, n_k)
    tokens = torch.randint(0, 4, (n_k,), generator=torch.Generator().manual_seed(n_k))
    chosen = {"window": window, "threshold": threshold, "tokens": tokens}
    allowed = None if mask is None else mask.dense()
    weights = dense_weights(query, key, allowed)
    scan = scan_attention(query, key, mask=mask, resolution=7, **chosen)
    assert scan.is_exact
    assert_same_numbers(scan, head_statistics(weights, allowed, **chosen))
    pooled = pool_weights(weights, resolution=7)
    torch.testing.assert_close(scan.map.mean, pooled.mean, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(scan.map.largest, pooled.largest, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gain", [1.0, 9.0, 3000.0], ids=["small scores", "large scores", "scores of ten thousand"])
@pytest.mark.parametrize("mask", [None, "causal", "window"])
def test_long_rows_of_many_tiles(mask: str | None, gain: float):
    n_q, n_k = 211, 3001
    query, key, value = draw(2, n_q, D_K) * gain, draw(1, n_k, D_K, seed=1), draw(1, n_k, D_V, seed=2)
    made = {None: None, "causal": causal_mask(n_q, n_k), "window": window_mask(n_q, n_k, size=1501)}[mask]
    allowed = None if made is None else made.dense()
    weights = dense_weights(query, key, allowed)
    scan = scan_attention(query, key, value, made, window=1100, resolution=13)
    assert_same_numbers(scan, head_statistics(weights, allowed, window=1100))
    pooled = pool_weights(weights, resolution=13)
    torch.testing.assert_close(scan.map.mean, pooled.mean, rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(scan.map.largest, pooled.largest, rtol=1e-5, atol=1e-12)
    output = weights @ value.double()
    torch.testing.assert_close(scan.output_norm, output.norm(dim=-1).mean(-1), rtol=1e-5, atol=0)


@settings(max_examples=30)
@given(st.integers(1, 61), st.integers(1, 67), st.integers(1, 71), DRAWN_MASKS, st.data())
def test_a_map_of_any_window(n_q: int, n_k: int, resolution: int, drawn: DrawnMask, data: st.DataObject):
    query, key = draw(1, n_q, D_K), draw(1, n_k, D_K, seed=1)
    top, left = data.draw(st.integers(0, n_q - 1)), data.draw(st.integers(0, n_k - 1))
    rows, columns = slice(top, data.draw(st.integers(top + 1, n_q))), slice(left, data.draw(st.integers(left + 1, n_k)))
    mask = drawn.of(n_q, n_k)
    weights = dense_weights(query, key, None if mask is None else mask.dense())
    found = scan_map(query, key, mask, resolution=resolution, rows=rows, columns=columns)
    pooled = pool_weights(weights, resolution=resolution, rows=rows, columns=columns)
    assert (found.row_edges, found.column_edges) == (pooled.row_edges, pooled.column_edges)
    torch.testing.assert_close(found.mean, pooled.mean, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found.largest, pooled.largest, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("resolution", [1, 2, 3])
def test_a_cell_longer_than_a_tile(resolution: int):
    query, key = draw(11, 4), draw(5003, 4, seed=1)
    pooled = pool_weights(dense_weights(query[None], key[None])[0], resolution=resolution, columns=slice(7, 4999))
    found = scan_map(query, key, resolution=resolution, columns=slice(7, 4999))
    torch.testing.assert_close(found.mean, pooled.mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.largest, pooled.largest, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_dtype_is_measured_as_it_is(dtype: torch.dtype):
    query, key, _ = operands(17, 19, dtype=dtype)
    scan = scan_attention(query, key, resolution=None)
    assert scan.map is None
    relative = 1e-12 if dtype == torch.float64 else 1e-5
    assert_same_numbers(scan, head_statistics(dense_weights(query, key)), relative)


@pytest.mark.parametrize("shape", [(23, 29), (HEADS, 23, 29), (2, 1, 23, 29), (1, 1, 1, 29)])
def test_a_boolean_tensor_that_broadcasts(shape: tuple[int, ...]):
    query, key, _ = operands(23, 29)
    allowed = draw(*shape) > 0.3
    allowed[..., :1, :] = False
    whole = allowed.expand(2, HEADS, 23, 29)
    scan = scan_attention(query, key, mask=allowed, resolution=5)
    assert_same_numbers(scan, head_statistics(dense_weights(query, key, whole), whole))
    assert_same_numbers(
        scan_attention(query, key, mask=allowed.int()), head_statistics(dense_weights(query, key, whole), whole)
    )


@pytest.mark.parametrize("gain", [1.0, 100.0])
def test_a_bias_is_added_and_minus_infinity_hides(gain: float):
    query, key, _ = operands(23, 29)
    bias = draw(HEADS, 23, 29, seed=5) * gain
    bias[:, :, 3] = -math.inf
    bias[2, 4] = torch.finfo(torch.float32).min
    allowed = (bias > -1e30).expand(2, HEADS, 23, 29)
    weights = dense_weights(query, key, allowed, bias)
    scan = scan_attention(query, key, mask=bias, resolution=5)
    assert_same_numbers(scan, head_statistics(weights, allowed))
    assert scan.statistics.num_empty.tolist() == [[0, 0, 1, 0, 0, 0]] * 2


def test_masks_that_differ_between_sequences():
    query, key, _ = operands(23, 29)
    mask = padding_mask([29, 11], n_k=29).with_heads() & causal_mask(23, 29)
    allowed = mask.dense().expand(2, HEADS, 23, 29)
    assert_same_numbers(
        scan_attention(query, key, mask=mask), head_statistics(dense_weights(query, key, allowed), allowed)
    )


def test_the_scale_is_as_asked():
    query, key, _ = operands(7, 11)
    scan = scan_attention(query, key, scale=0.9)
    assert_same_numbers(scan, head_statistics(dense_weights(query, key, scale=0.9)))


def test_operands_may_lie_in_memory_as_they_like():
    query, key, value = operands(67, 71)
    weights = dense_weights(query, key.repeat_interleave(HEADS // KV_HEADS, 1))
    turned = (x.mT.contiguous().mT for x in (query, key, value))
    assert_same_numbers(scan_attention(*turned), head_statistics(weights))


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3)])
def test_any_number_of_leading_axes(leading: tuple[int, ...]):
    query, key = draw(*leading, 7, 4), draw(*leading, 11, 4, seed=1)
    scan = scan_attention(query, key, resolution=3)
    assert scan.statistics.entropy.shape == scan.num_looked_at.shape == leading
    assert scan.map.mean.shape == (*leading, 3, 3)
    assert_same_numbers(scan, head_statistics(dense_weights(query.unsqueeze(-3), key.unsqueeze(-3)).squeeze(-3)))


def test_tokens_of_each_sequence_and_a_repeat_offset():
    query, key, _ = operands(29, 29)
    tokens = torch.randint(0, 5, (2, 29), generator=torch.Generator().manual_seed(0))
    mask = causal_mask(29)
    weights, allowed = dense_weights(query, key, mask.dense()), mask.dense()
    for chosen in ({"tokens": tokens}, {"repeat_offset": 7}, {"tokens": ["a", "b", "c"] * 9 + ["d", "a"]}):
        scan = scan_attention(query, key, mask=mask, **chosen)
        assert_same_numbers(scan, head_statistics(weights, allowed, **chosen))


def test_keys_with_a_common_direction_need_no_double_precision():
    query, key, _ = operands(31, 37)
    query, key = query / 4, key + 500.0
    weights = dense_weights(query, key)
    assert (query.norm(dim=-1).max() * key.norm(dim=-1).max()) / math.sqrt(D_K) > SAFE_SCORE
    assert_same_numbers(scan_attention(query, key), head_statistics(weights))


@pytest.mark.parametrize("name", ["key", "value", "query"])
def test_nan_where_nobody_looks_does_no_harm(name: str):
    query, key, value = operands(23, 29)
    allowed = torch.ones(23, 29, dtype=torch.bool)
    allowed[5], allowed[:, 7] = False, False
    clean = scan_attention(query, key, value, allowed, resolution=5)
    spoilt = {"query": query.clone(), "key": key.clone(), "value": value.clone()}
    spoilt[name][..., 5 if name == "query" else 7, 1] = math.nan
    found = scan_attention(*spoilt.values(), allowed, resolution=5)
    torch.testing.assert_close(found.statistics.entropy, clean.statistics.entropy, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.output_norm, clean.output_norm, rtol=1e-6, atol=0)
    with pytest.raises(NonFiniteError, match=rf"{name} holds NaN or infinity at \[0, 0, "):
        scan_attention(*spoilt.values())


def test_one_query_and_one_key():
    scan = scan_attention(draw(1, 1, 4), draw(1, 1, 4), draw(1, 1, 2))
    assert scan.statistics.entropy.item() == 0
    assert scan.statistics.max_attention.item() == pytest.approx(1.0)
    assert scan.map.mean.item() == pytest.approx(1.0)


def test_a_mask_that_hides_everything():
    scan = scan_attention(draw(2, 7, 4), draw(2, 11, 4), mask=torch.zeros(7, 11, dtype=torch.bool), resolution=3)
    assert scan.statistics.num_empty.tolist() == [7, 7]
    assert scan.statistics.entropy.isnan().all()
    assert scan.map.mean.abs().max() == 0


def test_one_thread_and_two_give_the_same_to_the_last_bit():
    query, key, value = operands(700, 700, batch=1)
    before = torch.get_num_threads()
    found = []
    for number in (1, 2):
        torch.set_num_threads(number)
        try:
            found.append(scan_attention(query, key, value, causal_mask(700), resolution=9))
            assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(before)
    for name in ("entropy", "received", "mean_distance", "evenness"):
        assert torch.equal(getattr(found[0].statistics, name), getattr(found[1].statistics, name)), name
    assert torch.equal(found[0].map.mean, found[1].map.mean)


def test_progress_rises_to_one(computed_by: str):
    told: list[float] = []
    scan_attention(draw(3, 300, 4), draw(3, 300, 4), on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == {"compiled": 3, "PyTorch": 9}[computed_by]  # portions of each of the three heads


def test_an_error_in_the_middle_ends_cleanly():
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        scan_attention(draw(3, 900, 4), draw(3, 900, 4), on_progress=stop)
    assert torch.get_num_threads() == before


def test_the_scan_keeps_every_sum_that_statistics_are_made_of():
    made_elsewhere = {"num_empty", "largest", "received", "gram"}
    assert set(RowSums.__dataclass_fields__) - made_elsewhere == set(COLUMNS) - {"output_norm"}


def test_the_strongest_keys_of_chosen_rows():
    query, key, _ = operands(23, 29)
    mask = causal_mask(23, 29, align="start")
    weights = dense_weights(query, key, mask.dense())
    found = scan_top_keys(query, key, [7, 0, -1], mask, count=4)
    expected = top_keys(weights[..., [7, 0, -1], :], 4)
    assert torch.equal(found.keys, expected.keys)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-9, atol=0)


@pytest.mark.parametrize("mask", [None, causal_mask(23, 29)])
def test_similarity_between_heads(mask: Mask | None):
    query, key, _ = operands(23, 29)
    allowed = None if mask is None else mask.dense()
    expected = head_statistics(dense_weights(query, key, allowed), allowed).similarity
    torch.testing.assert_close(scan_similarity(query, key, mask), expected, rtol=1e-9, atol=0)


def test_keys_far_behind_and_far_ahead():
    query, key = draw(1, 1301, 4), draw(1, 1301, 4, seed=1)
    weights = dense_weights(query, key)
    assert_same_numbers(scan_attention(query, key, resolution=9, window=3), head_statistics(weights, window=3))
