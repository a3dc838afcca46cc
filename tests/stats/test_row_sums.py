import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.masks import causal_mask
from attention_surgeon.stats import PER_HEAD, RowSums, StatisticsOptions, Strip, add_strip, finish, head_statistics
from attention_surgeon.stats import row_sums as strips_file
from tests.stats.drawn import drawn_weights

HEADS, N_Q, N_K = 3, 11, 13


def assert_same(found, expected) -> None:
    for name in (*PER_HEAD, "received", "similarity", "num_rows", "num_empty"):
        one, other = getattr(found, name), getattr(expected, name)
        if other is not None:
            torch.testing.assert_close(one, other, equal_nan=True)


@given(st.lists(st.integers(1, N_Q - 1), unique=True, max_size=4).map(sorted), st.integers(0, 10**6))
def test_strips_add_up_to_the_whole_however_it_is_cut(cuts: list[int], seed: int):
    allowed = causal_mask(N_Q, N_K).dense()
    allowed[4] = False
    weights = drawn_weights(2, HEADS, N_Q, N_K, seed=seed, allowed=allowed)
    sums = RowSums.zeros((2, HEADS), N_K, with_gram=True)
    options = StatisticsOptions(window=2)
    for start, stop in zip([0, *cuts], [*cuts, N_Q], strict=True):
        last = stop + N_K - N_Q  # keys from here on are hidden from all of these rows
        strip = Strip(
            weights[..., start:stop, :last],
            torch.arange(start, stop) + N_K - N_Q,
            allowed=allowed[start:stop, :last],
        )
        add_strip(sums, strip, options)
    assert_same(finish(sums, options), head_statistics(weights, allowed, window=2))


def test_a_strip_may_begin_after_the_first_key():
    q, k = torch.arange(N_K)[:, None], torch.arange(N_K)
    allowed = (k >= q - 3) & (k <= q)
    weights = drawn_weights(HEADS, N_K, N_K, allowed=allowed)
    sums, options = RowSums.zeros((HEADS,), N_K, with_gram=True), StatisticsOptions(window=0)
    for row in range(N_K):
        first = max(0, row - 3)
        add_strip(sums, Strip(weights[:, row : row + 1, first : row + 1], q[row], first_key=first), options)
    assert_same(finish(sums, options), head_statistics(weights, allowed, window=0))


def test_dense_weights_are_walked_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch):
    weights = drawn_weights(HEADS, N_Q, N_K)
    whole = head_statistics(weights, tokens=list(range(N_K)))
    monkeypatch.setattr(strips_file, "CELLS_AT_ONCE", 2 * HEADS * N_K)
    assert len(list(strips_file.strips_of(weights, None))) == 6
    assert_same(head_statistics(weights, tokens=list(range(N_K))), whole)


def test_the_sums_start_at_nothing():
    sums = RowSums.zeros((2, HEADS), N_K)
    assert all(not value.any() for value in vars(sums).values() if value is not None)
    assert sums.gram is None
    assert {field.name for field in dataclasses.fields(sums)} == set(vars(sums))
