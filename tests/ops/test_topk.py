import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.ops import attention, topk_attention
from tests.ops.probes import N_K, draw, qkv, ragged


def test_two_numbers_by_hand():
    scores = torch.log(torch.tensor([[4.0, 1.0, 2.0, 0.5]], dtype=torch.float64))
    eye = torch.eye(4, dtype=torch.float64)
    weights = topk_attention(scores, eye, eye, k=2, scale=False)[1]
    assert weights.tolist() == [pytest.approx([4 / 6, 0, 2 / 6, 0])]


@given(st.integers(1, N_K), st.integers(0, 10_000), st.booleans())
def test_each_query_keeps_its_k_best_keys(k: int, seed: int, scale: bool):
    Q, K, V = qkv(seed)
    output, weights = topk_attention(Q, K, V, k, ragged(), scale=scale)
    full = attention(Q, K, V, ragged(), scale=scale)[1]
    threshold = full.topk(k, -1).values[..., -1:]
    expected = torch.where(full >= threshold, full, 0.0)
    expected = expected / expected.sum(-1, keepdim=True).clamp_min(1e-300)
    assert torch.allclose(weights, expected, rtol=0, atol=1e-13)
    assert torch.allclose(output, expected @ V, rtol=0, atol=1e-12)
    assert ((weights > 0).sum(-1) <= k).all()


def test_k_beyond_the_keys_is_full_attention():
    for ours, full in zip(topk_attention(*qkv(), k=N_K + 5), attention(*qkv()), strict=True):
        assert torch.equal(ours, full)


def test_among_equal_scores_the_first_key_wins():
    weights = topk_attention(torch.ones(1, 3), torch.ones(100, 3), torch.ones(100, 2), k=3)[1]
    assert weights.nonzero()[:, 1].tolist() == [0, 1, 2]


def test_hidden_keys_never_count():
    mask = torch.tensor([[False, True, False, True, True]])
    scores = torch.tensor([[9.0, 1.0, 9.0, 2.0, 3.0]])
    weights = topk_attention(scores, torch.eye(5), torch.eye(5), k=2, mask=mask)[1]
    assert weights.nonzero()[:, 1].tolist() == [3, 4]
    assert topk_attention(scores, torch.eye(5), torch.eye(5), 2, mask & False)[1].tolist() == [[0.0] * 5]


def test_gradients_stop_at_the_dropped_keys():
    K = draw(N_K, 3, seed=1).requires_grad_()
    output, weights = topk_attention(draw(1, 3, seed=2), K, draw(N_K, 2, seed=3), k=2)
    output.sum().backward()
    assert K.grad is not None
    assert torch.equal(K.grad.abs().sum(-1) > 0, weights[0] > 0)
