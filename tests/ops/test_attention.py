import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.ops import attention, logsumexp
from tests.ops.probes import D_K, D_V, N_K, N_Q, additive, draw, qkv, ragged


def test_two_numbers_by_hand():
    Q = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    K = torch.eye(2, dtype=torch.float64)
    V = torch.tensor([[1.0, 10.0, 0.0], [0.0, 20.0, 4.0]], dtype=torch.float64)
    share = 1 / (1 + math.exp(-2 / math.sqrt(2)))  # softmax of (2/√2, 0)
    output, weights = attention(Q, K, V)
    assert weights.tolist() == [pytest.approx([share, 1 - share])]
    assert output.tolist() == [pytest.approx([share, 10 * share + 20 * (1 - share), 4 * (1 - share)])]
    unscaled = 1 / (1 + math.exp(-2))
    assert attention(Q, K, V, scale=False)[1].tolist() == [pytest.approx([unscaled, 1 - unscaled])]


MASKS: dict[str, Tensor | None] = {
    "none": None,
    "boolean": ragged(),
    "integer": ragged().to(torch.int64),
    "additive": additive(ragged()),
    "lowest float": torch.zeros(ragged().shape).masked_fill(~ragged(), torch.finfo(torch.float32).min),
    "lowest bfloat16": torch.zeros(ragged().shape).masked_fill(~ragged(), torch.finfo(torch.bfloat16).min),
    "bias": draw(N_Q, N_K, seed=8),
    "one row for all": ragged()[0, 0, 2:3],
    "per batch": ragged()[:, :1],
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("scale", [True, False])
def test_equals_pytorch_in_value_and_gradient(name: str, scale: bool):
    mask = MASKS[name]
    theirs_mask = mask
    if mask is not None:
        hidden = (mask == 0) if not mask.is_floating_point() else mask < -1e30
        theirs_mask = ~hidden if name != "bias" else mask
    tensors = [tensor.requires_grad_() for tensor in qkv()]
    ours = attention(*tensors, mask=mask, scale=scale)[0]
    theirs = F.scaled_dot_product_attention(*tensors, attn_mask=theirs_mask, scale=None if scale else 1.0)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-14)
    upstream = draw(*ours.shape, seed=20)
    for mine, torchs in zip(
        torch.autograd.grad((ours * upstream).sum(), tensors),
        torch.autograd.grad((theirs * upstream).sum(), tensors),
        strict=True,
    ):
        assert torch.allclose(mine, torchs, rtol=0, atol=1e-13)


def test_a_bias_is_added_after_the_scale():
    Q, K, V = qkv()
    bias = draw(N_Q, N_K, seed=4)
    expected = torch.softmax(Q @ K.mT / math.sqrt(D_K) + bias, -1)
    assert torch.allclose(attention(Q, K, V, bias)[1], expected, rtol=0, atol=1e-15)


def test_shapes_and_dtypes_with_every_axis_different():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        output, weights = attention(*qkv(dtype=dtype), mask=ragged())
        assert output.shape == (2, 3, N_Q, D_V)
        assert weights.shape == (2, 3, N_Q, N_K)
        assert output.dtype == weights.dtype == dtype


def test_weights_go_only_where_the_mask_allows_and_sum_to_one():
    weights = attention(*qkv(), mask=ragged())[1]
    allowed = ragged()
    assert (weights[~allowed] == 0).all()
    assert (weights[allowed] > 0).all()
    assert torch.allclose(weights.sum(-1), allowed.any(-1).double(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("mask", [ragged(), additive(ragged()), MASKS["lowest float"]], ids=["bool", "-inf", "finfo"])
def test_a_query_without_keys_gets_zeros_and_zero_gradients(mask: Tensor):
    tensors = [tensor.requires_grad_() for tensor in qkv()]
    output, weights = attention(*tensors, mask=mask)
    assert (output[..., 1, :] == 0).all()
    assert (weights[..., 1, :] == 0).all()
    gradients = torch.autograd.grad(output.sum() + weights.square().sum(), tensors)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[0][..., 1, :] == 0).all()


def test_no_keys_at_all_gives_zeros():
    output, weights = attention(torch.ones(2, 3), torch.ones(0, 3), torch.ones(0, 5))
    assert output.tolist() == [[0.0] * 5] * 2
    assert weights.shape == (2, 0)


def test_batch_axes_broadcast():
    Q, K, V = qkv()
    shared_key, shared_value = K[:1, :1], V[:1, :1]
    expected = attention(Q, shared_key.expand_as(K), shared_value.expand_as(V), ragged())[0]
    assert torch.equal(attention(Q, shared_key, shared_value, ragged())[0], expected)


def test_permuting_keys_with_their_values_changes_nothing():
    Q, K, V = qkv()
    order = torch.randperm(N_K, generator=torch.Generator().manual_seed(1))
    expected, weights = attention(Q, K, V, ragged())
    output, permuted = attention(Q, K[..., order, :], V[..., order, :], ragged()[..., order])
    assert torch.allclose(output, expected, rtol=0, atol=1e-15)
    assert torch.allclose(permuted, weights[..., order], rtol=0, atol=1e-15)


def test_the_future_does_not_move_the_past():
    Q, K, V = (draw(2, N_K, size, seed=size) for size in (D_K, D_K, D_V))
    causal = torch.ones(N_K, N_K, dtype=torch.bool).tril()
    before = attention(Q, K, V, causal)[0]
    changed = [tensor.clone() for tensor in (Q, K, V)]
    for tensor in changed:
        tensor[:, 4:] += 1.0
    after = attention(*changed, causal)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).any()


@given(st.integers(0, N_K), st.integers(0, 10_000))
def test_two_segments_of_keys_equal_the_whole(cut: int, seed: int):
    Q, K, V = qkv(seed)
    parts = [(K[..., :cut, :], V[..., :cut, :]), (K[..., cut:, :], V[..., cut:, :])]
    outputs = [attention(Q, key, value)[0] for key, value in parts]
    sizes = torch.stack([logsumexp(Q @ key.mT / math.sqrt(D_K)) for key, _ in parts])
    shares = torch.softmax(sizes, 0).unsqueeze(-1)
    whole = attention(Q, K, V)[0]
    assert torch.allclose(shares[0] * outputs[0] + shares[1] * outputs[1], whole, rtol=0, atol=1e-13)


@given(st.integers(0, 10_000))
def test_the_output_lies_between_the_values(seed: int):
    Q, K, V = qkv(seed)
    output = attention(Q, K, V)[0]
    assert (output <= V.amax(-2, keepdim=True) + 1e-12).all()
    assert (output >= V.amin(-2, keepdim=True) - 1e-12).all()


def test_the_caller_keeps_its_tensors():
    for mask in (ragged(), additive(ragged())):
        given_ = [*qkv(), mask]
        before = [tensor.clone() for tensor in given_]
        attention(*given_)
        assert all(torch.equal(now, then) for now, then in zip(given_, before, strict=True))


def exact(Q: Tensor, K: Tensor, V: Tensor, allowed: Tensor) -> Tensor:
    """Return the output in float64, written out without the package."""
    scores = (Q.double() @ K.double().mT / math.sqrt(Q.shape[-1])).masked_fill(~allowed, -math.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0) @ V.double()


@pytest.mark.parametrize("size", [1.0, 1e2])  # with 1e2 the scores reach ±1e4
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_no_larger_than_that_of_pytorch(dtype: torch.dtype, size: float, seed: int):
    Q, K, V = qkv(100 * seed, dtype)
    Q, K, allowed = size * Q, size * K, ragged(seed)
    truth = exact(Q, K, V, allowed)
    ours = (attention(Q, K, V, allowed)[0].double() - truth).abs().max()
    theirs = (F.scaled_dot_product_attention(Q, K, V, attn_mask=allowed).double() - truth).abs().max()
    assert ours <= theirs


def test_a_mask_that_writes_itself_out_is_accepted():
    class Diagonal:
        def dense(self, device: torch.device | str = "cpu") -> Tensor:
            return torch.eye(N_Q, N_K, dtype=torch.bool, device=device)

    Q, K, V = qkv()
    assert torch.equal(attention(Q, K, V, Diagonal())[0], V[..., :N_Q, :])
