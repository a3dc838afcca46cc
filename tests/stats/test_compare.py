import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.stats import COMPARISONS, compare_patterns
from attention_surgeon.stats import row_sums as strips_file
from tests.stats.drawn import drawn_weights

HEADS, N_Q, N_K = 3, 5, 7
NAMES = [each.name for each in COMPARISONS]


def test_two_rows_by_hand():
    first = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    second = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    found = compare_patterns(first, second)
    divergence = (math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2
    assert {name: getattr(found, name).item() for name in NAMES} == pytest.approx(
        {
            "cosine": 1.0 / math.sqrt(1.5 * 1.0),
            "mse": 0.5 / 4,
            "largest_difference": 0.5,
            "total_variation": 0.25,
            "jensen_shannon": divergence / 2,
        }
    )


@given(st.integers(0, 10**6), st.floats(0.1, 9.0))
def test_a_pattern_is_not_apart_from_itself(seed: int, sharpness: float):
    weights = drawn_weights(HEADS, N_Q, N_K, seed=seed, sharpness=sharpness)
    found = compare_patterns(weights, weights)
    assert found.cosine.tolist() == pytest.approx([1.0] * HEADS)
    for name in NAMES[1:]:
        assert getattr(found, name).tolist() == pytest.approx([0.0] * HEADS, abs=1e-15)


@given(st.integers(0, 10**6), st.floats(0.1, 9.0))
def test_bounds_and_symmetry(seed: int, sharpness: float):
    first = drawn_weights(HEADS, N_Q, N_K, seed=seed, sharpness=sharpness)
    second = drawn_weights(HEADS, N_Q, N_K, seed=seed + 1, sharpness=sharpness)
    found, turned = compare_patterns(first, second), compare_patterns(second, first)
    for name in NAMES:
        torch.testing.assert_close(getattr(found, name), getattr(turned, name))
    assert (found.total_variation <= 1).all()
    assert (found.jensen_shannon <= math.log(2)).all()
    # Lin 1991, theorem 3: the divergence is at most log 2 times the variation; and Pinsker's inequality twice
    assert (found.jensen_shannon <= math.log(2) * found.total_variation + 1e-12).all()
    assert (found.jensen_shannon >= found.total_variation**2 / 2 - 1e-12).all()
    assert (found.total_variation <= found.largest_difference * N_K / 2 + 1e-12).all()


def test_no_key_in_common():
    found = compare_patterns(torch.eye(3), torch.eye(3)[[1, 2, 0]])
    assert found.cosine.item() == 0
    assert found.total_variation.item() == 1
    assert found.jensen_shannon.item() == pytest.approx(math.log(2))
    assert found.mse.item() == pytest.approx(2 / 3)


def test_rows_that_are_empty_in_either_are_left_out():
    first, second = drawn_weights(HEADS, N_Q, N_K), drawn_weights(HEADS, N_Q, N_K, seed=1)
    kept = compare_patterns(first[:, 2:], second[:, 2:])
    first[:, 0], second[:, 1] = 0, 0
    found = compare_patterns(first, second)
    assert found.num_left_out.tolist() == [2] * HEADS
    assert found.num_rows.tolist() == [N_Q - 2] * HEADS
    for name in NAMES:
        torch.testing.assert_close(getattr(found, name), getattr(kept, name))


def test_nothing_in_common_to_compare():
    first, second = torch.eye(2), torch.eye(2)
    first[0], second[1] = 0, 0
    found = compare_patterns(first, second)
    assert all(getattr(found, name).isnan() for name in NAMES)


def test_two_dtypes_and_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch):
    first, second = drawn_weights(HEADS, N_Q, N_K), drawn_weights(HEADS, N_Q, N_K, seed=1)
    whole = compare_patterns(first, second.float())
    monkeypatch.setattr(strips_file, "CELLS_AT_ONCE", HEADS * N_K)
    parts = compare_patterns(first, second.float())
    for name in NAMES:
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
