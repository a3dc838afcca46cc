import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.ops import attention, attention_gradients, softmax, softmax_gradient, softmax_jacobian
from tests.ops.probes import BATCH, D_V, HEADS, N_K, N_Q, additive, draw, qkv, ragged

BIAS = draw(HEADS, N_Q, N_K, seed=7)
HIDING_BIAS = draw(BATCH, 1, N_Q, N_K, seed=8).masked_fill(~ragged()[:, :1], float("-inf"))
MASKS = {
    "none": None,
    "ragged with an empty row": ragged(),
    "integer": ragged().int(),
    "additive": additive(ragged()),
    "bias": BIAS,
    "bias for all": BIAS[0],
    "bias that hides": HIDING_BIAS,
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("use_weights", [True, False])
def test_equal_to_autograd(name: str, scale: bool, use_weights: bool):
    mask = MASKS[name]
    leaves = [tensor.requires_grad_() for tensor in qkv()]
    if mask is not None and mask.is_floating_point():
        leaves.append(mask.clone().requires_grad_())
        mask = leaves[-1]
    output, weights = attention(*leaves[:3], mask=mask, scale=scale)
    grad_output = draw(*output.shape, seed=30)
    grad_weights = draw(*weights.shape, seed=31) if use_weights else None
    loss = (output * grad_output).sum() + ((weights * grad_weights).sum() if grad_weights is not None else 0)
    expected = torch.autograd.grad(loss, leaves)
    detached = [leaf.detach() for leaf in leaves]
    detached_mask = detached[3] if len(detached) > 3 else mask
    ours = attention_gradients(*detached[:3], grad_output, detached_mask, scale, grad_weights)
    assert (ours.bias is None) == (len(leaves) == 3)
    for mine, autograd in zip(ours, expected, strict=False):
        assert mine is not None
        assert (mine - autograd).abs().max() <= 1e-10
        assert mine.isfinite().all()


def test_operands_that_were_broadcast_collect_their_gradients():
    Q, K, V = qkv()
    leaves = [Q.requires_grad_(), K[:1, :1].clone().requires_grad_(), V[:, :1].clone().requires_grad_()]
    output = attention(*leaves, ragged())[0]
    upstream = draw(*output.shape, seed=3)
    expected = torch.autograd.grad((output * upstream).sum(), leaves)
    ours = attention_gradients(*[leaf.detach() for leaf in leaves], upstream, ragged())
    for mine, autograd, leaf in zip(ours, expected, leaves, strict=False):
        assert mine is not None
        assert mine.shape == leaf.shape
        assert (mine - autograd).abs().max() <= 1e-10


def test_an_empty_row_sends_no_gradient():
    ours = attention_gradients(*qkv(), draw(BATCH, HEADS, N_Q, D_V, seed=1), additive(ragged()))
    assert (ours.query[..., 1, :] == 0).all()
    assert ours.bias is not None
    assert (ours.bias[~ragged()] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_comes_back_as_it_went_in(dtype: torch.dtype):
    tensors, upstream = qkv(dtype=dtype), draw(BATCH, HEADS, N_Q, D_V, seed=1, dtype=dtype)
    exact = attention_gradients(*[tensor.double() for tensor in tensors], upstream.double(), ragged())
    for mine, truth in zip(attention_gradients(*tensors, upstream, ragged())[:3], exact[:3], strict=True):
        assert isinstance(mine, Tensor)
        assert mine.dtype == dtype
        assert (
            (mine.double() - truth).abs()
            <= truth.abs() * torch.finfo(dtype).eps + 1e-6 * (dtype != torch.float32) + 1e-12
        ).all()


def test_the_jacobian_is_that_of_the_softmax():
    scores = draw(7, seed=2)
    expected = torch.autograd.functional.jacobian(lambda s: softmax(s), scores)
    jacobian = softmax_jacobian(softmax(scores))
    assert torch.allclose(jacobian, expected, rtol=0, atol=1e-15)
    upstream = draw(7, seed=3)
    assert torch.allclose(softmax_gradient(softmax(scores), upstream), upstream @ jacobian, rtol=0, atol=1e-15)
    assert torch.allclose(jacobian.sum(-1), torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-15)


def test_the_jacobian_product_over_another_axis():
    scores = draw(3, 5, seed=4).requires_grad_()
    upstream = draw(3, 5, seed=5)
    (expected,) = torch.autograd.grad((torch.softmax(scores, 0) * upstream).sum(), scores)
    assert torch.allclose(softmax_gradient(softmax(scores, 0).detach(), upstream, dim=0), expected, rtol=0, atol=1e-15)


@pytest.mark.usefixtures("own_messages")
def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"grad_weights has shape \(5, 7\), expected \(2, 3, 5, 7\)"):
        attention_gradients(*qkv(), draw(BATCH, HEADS, N_Q, D_V, seed=1), grad_weights=torch.ones(5, 7))
