import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_surgeon import nn
from attention_surgeon.errors import SurgeonError
from tests.nn.probes import BATCH, HEAD_DIM, HEADS, KV_HEADS, N_K, N_Q, draw, ragged

VALUE_DIM = 13
Attention = Callable[..., Tensor]
ours, theirs = nn.scaled_dot_product_attention, F.scaled_dot_product_attention


def qkv(*batch: int, value_dim: int = VALUE_DIM) -> tuple[Tensor, Tensor, Tensor]:
    batch = batch or (BATCH, HEADS)
    return (
        draw(*batch, N_Q, HEAD_DIM, seed=0),
        draw(*batch, N_K, HEAD_DIM, seed=1),
        draw(*batch, N_K, value_dim, seed=2),
    )


def assert_same(*args: Any, **options: Any) -> None:
    mine, torchs = ours(*args, **options), theirs(*args, **options)
    assert mine.shape == torchs.shape
    assert mine.dtype == torchs.dtype
    assert torch.allclose(mine, torchs, rtol=0, atol=1e-14)


MASKS: dict[str, Tensor | None] = {
    "none": None,
    "boolean": ragged(N_Q, N_K),
    "boolean per head": ragged(BATCH, HEADS, N_Q, N_K),
    "boolean, nobody": torch.zeros(N_Q, N_K, dtype=torch.bool),
    "one row": ragged(1, N_K),
    "per sequence": ragged(BATCH, 1, 1, N_K),
    "minus infinity": draw(N_Q, N_K).masked_fill(~ragged(N_Q, N_K), -math.inf),
    "minus infinity, nobody": torch.full((N_Q, N_K), -math.inf).double(),
    "bias": draw(BATCH, HEADS, N_Q, N_K, seed=3),
    "zeros and ones": ragged(N_Q, N_K).double(),
    "lowest, nobody": torch.full((N_Q, N_K), torch.finfo(torch.float64).min, dtype=torch.float64),
    "float32": torch.randn(N_Q, N_K),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("scale", [None, 0.0, -0.3, 2.0])
def test_equals_pytorch_with_every_kind_of_mask(name: str, scale: float | None):
    assert_same(*qkv(), MASKS[name], scale=scale)


@pytest.mark.parametrize("name", [name for name, mask in MASKS.items() if mask is not None])
def test_a_mask_beside_is_causal_is_refused(name: str):
    """PyTorch's text, which its tests look for; the kernel that computes in the open refuses it, too."""
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
        ours(*qkv(), MASKS[name], is_causal=True)
    with sdpa_kernel(SDPBackend.MATH), pytest.raises(RuntimeError):
        theirs(*qkv(), MASKS[name], is_causal=True)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [(0, 4, 10, 64), (2, 4, 0, 64), (2, 4, 10, 0), (0, 0, 0, 0)])
def test_queries_and_keys_of_no_numbers_weigh_evenly(sizes: tuple[int, ...], dtype: torch.dtype, is_causal: bool):
    query, key = (torch.zeros(sizes, dtype=dtype, requires_grad=True) for _ in range(2))
    value = draw(*sizes[:-1], 32).to(dtype).requires_grad_()
    found = ours(query, key, value, is_causal=is_causal)
    torch.testing.assert_close(found, theirs(query, key, value, is_causal=is_causal))
    found.sum().backward()
    assert [x.grad.shape for x in (query, key, value)] == [x.shape for x in (query, key, value)]


def test_causal_counts_from_the_start_for_any_two_lengths():
    query, key, value = qkv()
    assert_same(query, key, value, is_causal=True)
    assert_same(key, query, value[..., :N_Q, :], is_causal=True)
    assert torch.allclose(ours(query, key, value, is_causal=True)[..., 0, :], value[..., 0, :], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("query", "key", "value"),
    [
        ((N_Q, 11), (N_K, 11), (N_K, 13)),
        ((3, N_Q, 11), (3, N_K, 11), (3, N_K, 13)),
        ((2, 3, N_Q, 11), (1, 3, N_K, 11), (2, 1, N_K, 13)),
        ((2, 3, N_Q, 11), (3, N_K, 11), (N_K, 13)),
        ((1, 1, N_Q, 11), (2, 3, N_K, 11), (2, 3, N_K, 13)),
        ((5, 2, 3, N_Q, 11), (5, 2, 3, N_K, 11), (5, 2, 3, N_K, 13)),
        ((2, 3, 0, 11), (2, 3, N_K, 11), (2, 3, N_K, 13)),
        ((2, 3, N_Q, 11), (2, 3, 0, 11), (2, 3, 0, 13)),
    ],
)
def test_batch_axes_broadcast(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]):
    assert_same(draw(*query), draw(*key, seed=1), draw(*value, seed=2))


@pytest.mark.parametrize("mask", [None, ragged(BATCH, 6, N_Q, N_K), ragged(N_Q, N_K)])
@pytest.mark.parametrize(("key_heads", "value_heads"), [(2, 2), (1, 1), (3, 1), (6, 2), (6, 6)])
def test_heads_are_shared_by_neighbours(key_heads: int, value_heads: int, mask: Tensor | None):
    query, key, value = draw(BATCH, 6, N_Q, 11), draw(BATCH, key_heads, N_K, 11), draw(BATCH, value_heads, N_K, 13)
    assert_same(query, key, value, mask, enable_gqa=True)
    assert_same(query[0], key[0], value[0], enable_gqa=True)
    repeated = [x.repeat_interleave(6 // x.shape[-3], -3) for x in (key, value)]
    assert torch.equal(ours(query, key, value, mask, enable_gqa=True), ours(query, *repeated, mask))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"attn_mask": ragged(N_Q, N_K)}], ids=["all", "causal", "mask"]
)
def test_the_same_dropout_is_drawn(dtype: torch.dtype, options: dict[str, Any]):
    arguments = [x.to(dtype) for x in qkv()]
    outputs = []
    for function in (ours, theirs):
        torch.manual_seed(6)
        outputs.append(function(*arguments, dropout_p=0.4, **options))
    assert torch.allclose(*outputs, rtol=0, atol=1e-13 if dtype == torch.float64 else 2e-6)
    assert not torch.allclose(outputs[0], ours(*arguments, **options), rtol=0, atol=0.01)
    assert torch.equal(ours(*arguments, dropout_p=1.0), torch.zeros_like(outputs[0]))


@pytest.mark.parametrize(
    "name", [name for name, mask in MASKS.items() if mask is not None and mask.is_floating_point()]
)
def test_the_gradient_of_a_floating_mask_is_pytorchs(name: str):
    gradients = []
    for function in (ours, theirs):
        mask = MASKS[name].clone().requires_grad_()
        function(*qkv(), mask).square().sum().backward()
        gradients.append(mask.grad)
    assert torch.allclose(*gradients, rtol=0, atol=1e-13 if name != "float32" else 1e-6)


def test_hidden_numbers_do_not_matter_even_if_they_are_not_numbers():
    query, key, value = qkv()
    key[..., 2, :] = math.nan
    mask = torch.ones(N_Q, N_K, dtype=torch.bool)
    mask[:, 2] = False
    assert ours(query, key, value, mask).isfinite().all()


def test_low_precision_goes_in_and_comes_out_and_takes_a_float32_mask():
    arguments = [x.bfloat16() for x in qkv()]
    mask = draw(N_Q, N_K).float()
    assert ours(*arguments, mask).dtype == torch.bfloat16
    exact = theirs(*(x.double() for x in arguments), mask.double())
    assert (ours(*arguments, mask) - exact).abs().max() <= (theirs(*arguments, mask) - exact).abs().max()


def test_autocast_gives_its_dtype():
    arguments = [x.float() for x in qkv()]
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(*arguments).dtype == theirs(*arguments).dtype == torch.bfloat16
        assert ours(*qkv()).dtype == theirs(*qkv()).dtype == torch.float64


Wrong = Callable[[Attention], object]
Q, K, V = (x.float() for x in qkv(value_dim=HEAD_DIM))

WRONG_CALLS: dict[str, Wrong] = {
    "list": lambda attend: attend([1.0], K, V),
    "integers": lambda attend: attend(Q.long(), K.long(), V.long()),
    "one axis": lambda attend: attend(Q[0, 0, 0], K[0, 0, 0], V[0, 0, 0]),
    "narrow keys": lambda attend: attend(Q, K[..., 1:], V),
    "other heads": lambda attend: attend(Q, K[:, 1:], V[:, 1:]),
    "keys of another dtype": lambda attend: attend(Q, K.double(), V),
    "values on another device": lambda attend: attend(Q, K, V.to("meta")),
    "integer mask": lambda attend: attend(Q, K, V, ragged(N_Q, N_K).long()),
    "mask of another dtype": lambda attend: attend(Q, K, V, torch.zeros(N_Q, N_K).double()),
    "mask in bfloat16": lambda attend: attend(Q, K, V, torch.zeros(N_Q, N_K).bfloat16()),
    "complex mask": lambda attend: attend(Q, K, V, torch.zeros(N_Q, N_K, dtype=torch.complex64)),
    "mask of a list": lambda attend: attend(Q, K, V, [1.0]),
    "transposed mask": lambda attend: attend(Q, K, V, ragged(N_K, N_Q)),
    "mask without head axis": lambda attend: attend(Q, K, V, ragged(BATCH, N_Q, N_K)),
    "mask with a larger batch": lambda attend: attend(Q[:1], K[:1], V[:1], ragged(BATCH, HEADS, N_Q, N_K)),
    "dropout above 1": lambda attend: attend(Q, K, V, dropout_p=1.5),
    "dropout below 0": lambda attend: attend(Q, K, V, dropout_p=-0.5),
    "a number for is_causal": lambda attend: attend(Q, K, V, is_causal=1),
    "scale in words": lambda attend: attend(Q, K, V, scale="half"),
    "heads that cannot be shared": lambda attend: attend(Q, K[:, :2], V[:, :2], enable_gqa=True),
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("name", WRONG_CALLS)
def test_what_pytorch_refuses_is_refused_and_caught_by_the_same_except(name: str):
    with pytest.raises((RuntimeError, TypeError)) as torchs:
        WRONG_CALLS[name](theirs)
    with pytest.raises(SurgeonError) as mine:
        WRONG_CALLS[name](ours)
    assert isinstance(mine.value, torchs.type)


def test_scale_and_what_follows_must_be_named_as_in_pytorch():
    for function in (ours, theirs):
        with pytest.raises(TypeError, match="positional arguments"):
            function(Q, K, V, None, 0.0, False, 1.0)


def test_the_gradient_of_shared_heads_is_summed_before_it_is_rounded():
    query, key, value = draw(1, 6, N_Q, 11).float(), *(draw(1, KV_HEADS, N_K, 11, seed=s).float() for s in (1, 2))
    exact = [x.double().requires_grad_() for x in (query, key, value)]
    low = [x.requires_grad_() for x in (query, key, value)]
    upstream = draw(1, 6, N_Q, 11, seed=3).float()
    ours(*low, enable_gqa=True).backward(upstream)
    theirs(*exact, enable_gqa=True).backward(upstream.double())
    for mine, true in zip(low, exact, strict=True):
        assert torch.equal(mine.grad, true.grad.float())
