"""Second derivatives, forward mode and `torch.func` through tiles, against differences and against the oracle."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from attention_surgeon import masks
from attention_surgeon.errors import OptionError
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.ops import attention, share_heads
from tests.kernels.probes import MASKS, added, draw, ragged

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own forward mode

BATCH, N_Q, N_K, D_K, D_V = 2, 5, 11, 3, 2
"""Two blocks of queries and two tiles of keys, small enough to try every entry."""

EMPTY_ROWS = ("boolean", "added")
"""Masks with a row without keys, whose log-sum-exp is -inf: no difference can be taken of it."""

Attend = Callable[..., Any]


def leaves(*, heads: int = 1, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    shapes = ((BATCH, 2, N_Q, D_K), (BATCH, heads, N_K, D_K), (BATCH, heads, N_K, D_V))
    return [draw(*shape, seed=seed, dtype=dtype).requires_grad_() for seed, shape in enumerate(shapes)]


def check_both(attend: Attend, given: list[Tensor]) -> None:
    """Compare first and second derivatives, forward and backward, with differences of the function itself."""
    assert gradcheck(attend, given, fast_mode=True, check_forward_ad=True)
    assert gradgradcheck(attend, given, fast_mode=True, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("name", ["none", "causal", "window", "documents", "boolean", "boolean of one row", "added"])
def test_differences_agree_with(name: str, small_tiles: None) -> None:
    mask = MASKS[name](N_Q, N_K)
    check_both(lambda *given: tiled_attention(*given, mask, return_logsumexp=name not in EMPTY_ROWS), leaves(heads=2))


@pytest.mark.parametrize("heads", [1, 2])
def test_differences_agree_with_grouped_heads(heads: int, small_tiles: None, three_workers: None) -> None:
    mask = masks.causal_mask(N_Q, N_K)
    check_both(lambda *given: tiled_attention(*given, mask, use_shared_heads=True, scale=0.7), leaves(heads=heads))


@pytest.mark.parametrize("shape", [(N_Q, N_K), (2, 1, N_K), (BATCH, 1, N_Q, N_K)])
def test_differences_agree_for_a_floating_mask(shape: tuple[int, ...], small_tiles: None) -> None:
    bias = draw(*shape, seed=7).requires_grad_()
    check_both(lambda *given: tiled_attention(*given, return_logsumexp=True), [*leaves(heads=2), bias])


def test_differences_agree_with_dropout(small_tiles: None) -> None:
    def attend(*given: Tensor) -> Tensor:
        return tiled_attention(*given, dropout=0.3, generator=torch.Generator().manual_seed(5))

    check_both(attend, leaves(heads=2))


def plain(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
    """Return attention as anybody would write it, in the dtype of its inputs."""
    scores = q @ k.mT / math.sqrt(D_K)
    if mask is not None:
        mask = mask.dense() if isinstance(mask, masks.Mask) else mask
        bias = mask.to(q.dtype) if mask.is_floating_point() else torch.zeros_like(scores).masked_fill(~mask, -torch.inf)
        scores = scores + bias
    return torch.softmax(scores, -1) @ v


def penalty(attend: Attend, given: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a gradient penalty, which has the first gradient in it."""
    grads = torch.autograd.grad(attend(*given).square().sum(), given, create_graph=True)
    return list(torch.autograd.grad(sum(grad.square().sum() for grad in grads), given))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("spread", [1.0, 40.0])
@pytest.mark.parametrize("name", ["none", "causal", "window", "added by blocks"])
def test_a_gradient_penalty_is_that_of_the_oracle(
    name: str, spread: float, dtype: torch.dtype, small_tiles: None, three_workers: None
) -> None:
    mask, given = MASKS[name](N_Q, N_K), leaves(heads=2, dtype=dtype)
    wide = [x.detach().double().requires_grad_() for x in given]
    found = penalty(lambda q, k, v: tiled_attention(q * spread, k, v, mask).double(), given)
    true = penalty(lambda q, k, v: attention(q * spread, k, v, mask)[0], wide)
    naive = penalty(lambda q, k, v: plain(q * spread, k, v, mask).double(), given)
    for ours, theirs, expected in zip(found, naive, true, strict=True):
        largest = max(1.0, float(expected.abs().max()))
        allowed = 2 * float((theirs.double() - expected).abs().max()) + 64 * torch.finfo(dtype).eps * largest
        assert float((ours.double() - expected).abs().max()) <= allowed


def test_the_penalty_of_a_sum_is_not_lost(small_tiles: None) -> None:
    """The upstream gradient of a sum is a constant; the second derivative is there all the same."""
    given = [x.requires_grad_() for x in (draw(1, 4, 3, seed=seed) for seed in range(3))]
    for attend in (tiled_attention, lambda q, k, v: attention(q, k, v)[0]):
        (force,) = torch.autograd.grad(given[0].square().sum() + attend(*given).sum(), given[0], create_graph=True)
        found = torch.autograd.grad(force.square().sum(), given)
        if attend is tiled_attention:
            ours = found
    torch.testing.assert_close(ours, found, rtol=1e-12, atol=1e-12)


def as_function(attend: Attend, mask: Any) -> Attend:
    return lambda q, k, v: attend(q, k, v, mask)[0] if attend is attention else attend(q, k, v, mask)


def squared(attend: Attend) -> Attend:
    return lambda *given: attend(*given).square().sum()


def along(*given: Tensor) -> tuple[Tensor, ...]:
    return tuple(draw(*x.shape, seed=50 + number) for number, x in enumerate(given))


EVERY = (0, 1, 2)
TRANSFORMS: dict[str, Callable[[Attend], Attend]] = {
    "grad": lambda f: torch.func.grad(squared(f), EVERY),
    "vjp": lambda f: lambda *x: torch.func.vjp(f, *x)[1](f(*x)),
    "jvp": lambda f: lambda *x: torch.func.jvp(f, x, along(*x)),
    "jacrev": lambda f: torch.func.jacrev(f, EVERY),
    "jacfwd": lambda f: torch.func.jacfwd(f, EVERY),
    "hessian": lambda f: torch.func.hessian(squared(f), EVERY),
    "jacrev of jacrev": lambda f: torch.func.jacrev(torch.func.jacrev(squared(f), EVERY), EVERY),
    "gradient of jvp": lambda f: torch.func.grad(lambda *x: torch.func.jvp(f, x, along(*x))[1].square().sum(), EVERY),
    "vmap": lambda f: torch.func.vmap(f),
    "vmap of queries": lambda f: lambda q, k, v: torch.func.vmap(f, (1, None, None))(q, k[0], v[0]),
    "vmap of keys": lambda f: lambda q, k, v: torch.func.vmap(f, (None, 0, None))(q[0], k, v[0]),
    "vmap of vmap": lambda f: torch.func.vmap(torch.func.vmap(f)),
    "gradients of each": lambda f: torch.func.vmap(torch.func.grad(squared(f), EVERY)),
    "gradients of each query": lambda f: (
        lambda q, k, v: torch.func.vmap(torch.func.grad(squared(f), EVERY), (0, None, None))(q, k[0], v[0])
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("masked", [False, True])
def test_torch_func(name: str, masked: bool, small_tiles: None) -> None:
    n_q, n_k = (5, 9) if "jac" in name or name == "hessian" else (N_Q, N_K)
    given = [draw(2, 1, n, size, seed=seed) for seed, (n, size) in enumerate(((n_q, 2), (n_k, 2), (n_k, 1)))]
    mask = masks.causal_mask(n_q, n_k) if masked else None
    if name == "vmap of queries":
        given[0] = given[0].movedim(0, 1)
    ours, theirs = (TRANSFORMS[name](as_function(attend, mask))(*given) for attend in (tiled_attention, attention))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [ragged, added])
def test_vmap_of_masks(kind: Callable[..., Tensor], small_tiles: None) -> None:
    given = [x.detach() for x in leaves(heads=2)]
    own = kind(BATCH, 2, N_Q, N_K)
    ours = torch.func.vmap(tiled_attention, (None, None, None, 0))(given[0][0], given[1][0], given[2][0], own)
    theirs = torch.stack([attention(*(x[0] for x in given), mask)[0] for mask in own])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(N_Q, N_K), (1, N_K)])
def test_gradients_of_each_for_a_floating_mask(shape: tuple[int, ...], small_tiles: None) -> None:
    query, key, value = (x.detach() for x in leaves(heads=2))
    bias = draw(*shape, seed=7)
    grad = torch.func.grad(lambda bias, q, k, v: tiled_attention(q, k, v, bias).square().sum())
    ours = torch.func.vmap(grad, (None, 0, 0, 0))(bias, query, key, value)
    own = torch.func.grad(lambda bias, q, k, v: attention(q, k, v, bias)[0].square().sum())
    theirs = torch.stack([own(bias, *one) for one in zip(query, key, value, strict=True)])
    torch.testing.assert_close(ours, theirs)


def test_grouped_heads_under_vmap(small_tiles: None) -> None:
    query, key, value = draw(3, 6, N_Q, D_K, seed=1), draw(2, N_K, D_K, seed=2), draw(2, N_K, D_V, seed=3)

    def ours(q: Tensor) -> Tensor:
        return tiled_attention(q, key, value, use_shared_heads=True)

    theirs = attention(query, share_heads(key, 6), share_heads(value, 6))[0]
    torch.testing.assert_close(torch.func.vmap(ours)(query), theirs)


def test_what_is_hidden_does_not_reach_a_second_derivative(small_tiles: None) -> None:
    """A hidden key and value of NaN change nothing, and get no gradient."""
    mask = masks.padding_mask([N_K - 2], n_k=N_K)
    clean = leaves(heads=2)
    hurt = [x.detach().clone() for x in clean]
    for x in hurt[1:]:
        x[..., -2:, :] = math.nan
    found = penalty(lambda *x: tiled_attention(*x, mask), [x.requires_grad_() for x in hurt])
    expected = penalty(lambda *x: tiled_attention(*x, mask), clean)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def third(q: Tensor, k: Tensor, v: Tensor) -> object:
    grad = torch.func.grad
    return grad(lambda x: grad(lambda x: grad(lambda x: tiled_attention(x, k, v).sum())(x).sum())(x).sum())(q)


def third_by_autograd(q: Tensor, k: Tensor, v: Tensor) -> None:
    x = q.clone().requires_grad_()
    y = tiled_attention(x, k, v).sum()
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)


REFUSED: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], object], str]] = {
    "third derivative": (third, "a third derivative is not there in tiles"),
    "third derivative by autograd": (third_by_autograd, "a third derivative is not there in tiles"),
    "forward mode inside forward mode": (
        lambda q, k, v: torch.func.jacfwd(torch.func.jacfwd(lambda x: tiled_attention(x, k, v)))(q),
        "forward mode inside forward mode is not there in tiles. torch.func.hessian",
    ),
    "dropout under vmap": (
        lambda q, k, v: torch.func.vmap(lambda x: tiled_attention(x, k, v, dropout=0.5))(q),
        "the seed of the dropout cannot be drawn here",
    ),
    "the same dropout under vmap": (
        lambda q, k, v: torch.func.vmap(lambda x: tiled_attention(x, k, v, dropout=0.5), randomness="same")(q),
        "dropout is 0.5 under torch.vmap",
    ),
    "batched in the older way": (
        lambda q, k, v: torch.autograd.functional.jacobian(lambda x: tiled_attention(x, k, v), q, vectorize=True),
        "use torch.func.jacrev",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_says_so(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(OptionError, match=message.replace("(", r"\(")):
        call(*(draw(2, n, 3, seed=n) for n in (3, 5, 5)))
