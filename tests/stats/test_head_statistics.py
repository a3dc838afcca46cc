import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon.masks import causal_mask, padding_mask, reverse_mask
from attention_surgeon.ops import MEASURES, measure_weights
from attention_surgeon.stats import PER_HEAD, HeadStatistics, head_statistics
from tests.stats.by_hand import cells, head_by_hand
from tests.stats.drawn import drawn_weights, even

BATCH, HEADS, N_Q, N_K = 2, 3, 5, 7


def numbers_of(found: HeadStatistics, *place: int) -> dict[str, float]:
    return {name: float(getattr(found, name)[place]) for name in PER_HEAD if getattr(found, name) is not None}


def assert_by_hand(weights: Tensor, allowed: Tensor | None = None, **options) -> None:
    """Compare every number of every head with the one computed cell by cell."""
    found = head_statistics(weights, allowed, **options)
    known = {name: option.tolist() if isinstance(option, Tensor) else option for name, option in options.items()}
    for place in torch.ones(weights.shape[:-2]).nonzero().tolist():
        sees = None if allowed is None else allowed.expand_as(weights)[tuple(place)].tolist()
        expected = head_by_hand(cells(weights[tuple(place)]), sees, **known)
        if "tokens" not in options:
            expected.pop("induction")
        assert numbers_of(found, *place) == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-12)


def test_two_rows_by_hand():
    weights = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]], dtype=torch.float64)
    found = head_statistics(weights)
    log2, log3 = math.log(2), math.log(3)
    assert numbers_of(found, 0) == pytest.approx(
        {
            "entropy": (log2 + 0 + 1.5 * log2) / 3,
            "entropy_share": (log2 + 1.5 * log2) / (3 * log3),
            "effective_keys": (2 + 1 + 2**1.5) / 3,
            "max_attention": 1.0,
            "mean_max_attention": 2 / 3,
            "diagonal_mass": 2 / 3,
            "previous_mass": (0 + 0.25) / 2,
            "next_mass": (0.5 + 0) / 2,
            "first_mass": 0.75 / 3,
            "local_mass": 2.75 / 3,
            "global_mass": 0.25 / 3,
            "local_vs_global": 11.0,
            "mean_distance": (0.5 + 0 + 0.25 + 0.5) / 3,
            "sparsity": 3 / 9,
            "evenness": (2 / 3 + 1 / 3 + 0.25 + 0.25 + 1 / 3) / 3,
        }
    )
    assert found.received.tolist() == [pytest.approx([0.75 / 3, 1.75 / 3, 0.5 / 3])]
    assert found.num_rows.tolist() == [3]
    assert found.num_empty.tolist() == [0]


@pytest.mark.parametrize(("n_q", "n_k"), [(N_Q, N_K), (N_K, N_Q), (1, N_K), (N_Q, 1), (N_K, N_K)])
@pytest.mark.parametrize("window", [0, 1, 3])
def test_cell_by_cell(n_q: int, n_k: int, window: int):
    tokens = torch.tensor([3, 1, 3, 1, 1, 2, 3])[:n_k]
    weights = drawn_weights(BATCH, HEADS, n_q, n_k, sharpness=2.0)
    assert_by_hand(weights, window=window, threshold=0.1, tokens=tokens)


def test_cell_by_cell_behind_a_mask_with_empty_rows():
    allowed = causal_mask(N_Q, N_K).dense() & (torch.rand(BATCH, HEADS, N_Q, N_K) < 0.6)
    allowed[0, 1, 2] = False
    allowed[1, 2] = False
    weights = drawn_weights(BATCH, HEADS, N_Q, N_K, allowed=allowed)
    assert_by_hand(weights, allowed, tokens=torch.tensor([0, 1, 0, 1, 1, 0, 1]))
    found = head_statistics(weights, allowed)
    assert found.num_empty.tolist() == (~allowed.any(-1)).sum(-1).tolist()
    assert (found.num_rows + found.num_empty == N_Q).all()
    assert found.entropy[1, 2].isnan()
    assert found.max_attention[1, 2].isnan()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6), st.floats(0.1, 8.0))
def test_cell_by_cell_at_every_size(n_q: int, n_k: int, seed: int, sharpness: float):
    torch.manual_seed(seed)
    allowed = torch.rand(n_q, n_k) < 0.7
    weights = drawn_weights(2, n_q, n_k, seed=seed, allowed=allowed, sharpness=sharpness)
    assert_by_hand(weights, allowed, tokens=torch.randint(3, (n_k,)))


def test_the_four_of_the_course_are_those_of_ops():
    weights = drawn_weights(BATCH, HEADS, N_Q, N_K)
    found, measured = head_statistics(weights), measure_weights(weights)
    means = {name: getattr(found, name).mean() for name in ("entropy", "diagonal_mass")}
    means |= {"max_attention": found.max_attention.max()}
    means |= {"local_vs_global": found.local_mass.mean() / found.global_mass.mean()}
    assert {name: means[name].item() for name in MEASURES} == pytest.approx(
        {name: measured[name].item() for name in MEASURES}
    )


@pytest.mark.parametrize("n", [2, 5, 11])
def test_even_weights(n: int):
    found = head_statistics(torch.full((n, n), 1 / n, dtype=torch.float64))
    assert found.entropy.item() == pytest.approx(math.log(n))
    assert found.entropy_share.item() == pytest.approx(1.0)
    assert found.effective_keys.item() == pytest.approx(n)
    assert found.evenness.item() == pytest.approx(1.0)


def test_even_weights_under_a_causal_mask_are_even_if_the_mask_is_known():
    mask = causal_mask(7)
    weights = even(mask.dense())[None]
    assert head_statistics(weights, mask).evenness.item() == pytest.approx(1.0)
    assert head_statistics(weights, mask).entropy_share.item() == pytest.approx(1.0)
    assert head_statistics(weights, mask).sparsity.item() == 0
    assert head_statistics(weights).evenness.item() == pytest.approx(4 / 7)
    assert head_statistics(weights).sparsity.item() == pytest.approx(21 / 49)


def test_one_key_each():
    found = head_statistics(torch.eye(5)[[3, 0, 4, 2, 2]])
    assert [found.entropy.item(), found.effective_keys.item(), found.max_attention.item()] == [0, 1, 1]
    assert found.local_vs_global.item() == pytest.approx(2 / 3)
    assert head_statistics(torch.eye(5)).local_vs_global.item() == math.inf


@settings(max_examples=30)
@given(st.permutations(range(HEADS)), st.integers(0, 10**6))
def test_permuting_heads_permutes_the_results(order: list[int], seed: int):
    weights = drawn_weights(BATCH, HEADS, N_Q, N_K, seed=seed)
    found, permuted = head_statistics(weights), head_statistics(weights[:, order])
    for name in (*PER_HEAD, "received", "num_rows"):
        if getattr(found, name) is not None:
            torch.testing.assert_close(getattr(permuted, name), getattr(found, name)[:, order])
    assert found.similarity is not None
    assert permuted.similarity is not None
    torch.testing.assert_close(permuted.similarity, found.similarity[:, order][:, :, order])


def test_similarity_of_heads():
    one, other = torch.eye(3), torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0]])
    similarity = head_statistics(torch.stack([one, other, one[[1, 2, 0]]])).similarity
    assert similarity is not None
    assert similarity[0].tolist() == pytest.approx([1.0, 1.5 / math.sqrt(3 * 2), 0.0])
    assert torch.equal(similarity, similarity.mT)
    assert head_statistics(one).similarity is None


def test_received_adds_up_to_one_and_rows_without_keys_give_nothing():
    weights = drawn_weights(BATCH, HEADS, N_Q, N_K)
    weights[:, :, 1] = 0
    received = head_statistics(weights).received
    torch.testing.assert_close(received.sum(-1), torch.ones(BATCH, HEADS, dtype=torch.float64))
    torch.testing.assert_close(received, weights.sum(-2) / (N_Q - 1))


def test_rows_that_may_attend_to_nobody_do_not_count_whatever_they_hold():
    allowed = torch.ones(1, N_Q, N_K, dtype=torch.bool)
    allowed[0, 2] = False
    weights = drawn_weights(HEADS, N_Q, N_K, allowed=allowed)
    filled = weights.clone()
    filled[:, 2] = 1 / N_K  # as libraries do that hide with a large negative number
    for name in ("entropy", "first_mass", "num_empty", "sparsity"):
        assert torch.equal(getattr(head_statistics(filled, allowed), name), getattr(head_statistics(weights), name))


def test_a_padding_mask_shrinks_what_is_possible():
    mask = padding_mask([N_K, 3], n_k=N_K).with_heads()
    allowed = mask.dense().expand(BATCH, HEADS, N_Q, N_K)
    found = head_statistics(even(allowed), mask)
    assert found.entropy[:, 0].tolist() == pytest.approx([math.log(N_K), math.log(3)])
    assert found.entropy_share.flatten().tolist() == pytest.approx([1.0] * BATCH * HEADS)


def test_short_floats_are_measured_one_precision_up():
    weights = drawn_weights(HEADS, N_Q, N_K).to(torch.bfloat16)
    found, exact = head_statistics(weights), head_statistics(weights.double())
    assert found.entropy.dtype == torch.float32
    assert head_statistics(weights.float()).entropy.dtype == torch.float64
    for name in PER_HEAD:
        if getattr(found, name) is not None:
            torch.testing.assert_close(getattr(found, name).double(), getattr(exact, name), rtol=1e-5, atol=1e-6)


def test_the_threshold_of_sparsity_is_itself_not_below():
    weights = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    assert head_statistics(weights, threshold=0.25).sparsity.item() == 0
    assert head_statistics(weights, threshold=0.5).sparsity.item() == 0.25


def test_induction_by_tokens_and_by_offset():
    tokens = ["a", "b", "c", "a", "b", "c", "a"]
    weights = torch.eye(7, dtype=torch.float64)[[0, 0, 0, 1, 2, 3, 4]]
    by_tokens = head_statistics(weights, tokens=tokens).induction
    by_offset = head_statistics(weights, repeat_offset=3).induction
    assert by_tokens is not None
    assert by_offset is not None
    assert by_tokens.item() == by_offset.item() == 1.0
    earlier = head_statistics(torch.eye(7)[[0, 0, 0, 0, 0, 0, 1]], tokens=tokens).induction
    assert earlier is not None
    assert earlier.item() == 0.25  # of four rows that repeat a token, one looks after an earlier occurrence
    assert head_statistics(weights).induction is None


def test_a_token_right_after_its_like_is_no_induction():
    found = head_statistics(torch.eye(3), tokens=[8, 8, 5]).induction
    assert found is not None
    assert found.isnan()


def test_sequences_with_tokens_of_their_own():
    weights = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 1]].expand(BATCH, HEADS, 4, 4)
    found = head_statistics(weights, tokens=torch.tensor([[0, 1, 0, 2], [0, 1, 2, 0]])).induction
    assert found is not None
    assert found.tolist() == [[1.0] * HEADS] * BATCH
    none = head_statistics(weights, tokens=torch.tensor([[0, 1, 0, 2], [0, 1, 2, 3]])).induction
    assert none is not None
    assert none[1].isnan().all()


def test_no_gradient_flows_and_the_weights_are_left_alone():
    weights = drawn_weights(HEADS, N_Q, N_K)
    before = weights.clone()
    found = head_statistics(weights.requires_grad_(), causal_mask(N_Q, N_K) | reverse_mask(N_Q, N_K))
    assert not found.entropy.requires_grad
    assert torch.equal(weights, before)
