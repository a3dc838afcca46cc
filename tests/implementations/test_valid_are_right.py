"""The valid functions are right: against an own reference of loops in float64, which shares no code with them."""

import contextlib
import inspect
import math

import numpy as np
import pytest
import torch

from tests.implementations.implementation import Implementation
from tests.implementations.reference import of, references

BATCH, HEADS, N_Q, N_K, D_K, D_V = 2, 3, 5, 7, 11, 13
MASK_NAMES = ("mask", "attn_mask", "attention_mask", "attn_bias", "key_mask", "keep", "kwargs")
SHAPES = {2: (), 3: (BATCH,), 4: (BATCH, HEADS)}
REFUSED = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, AssertionError)


def draw(layout: int, size: float = 1.0, n_q: int = N_Q, n_k: int = N_K) -> list[np.ndarray]:
    rng = np.random.default_rng(layout)
    lead = SHAPES[layout]
    parts = [rng.normal(size=(*lead, *end)) for end in ((n_q, D_K), (n_k, D_K), (n_k, D_V))]
    return [parts[0] * size, parts[1], parts[2]]


def ragged(layout: int, empty: bool = False) -> np.ndarray:
    """A mask with another pattern in each sequence; with `empty`, its row 1 has no key."""
    shape = {2: (), 3: (BATCH,), 4: (BATCH, 1)}[layout]
    keep = np.random.default_rng(7).random((*shape, N_Q, N_K)) < 0.6
    keep[..., 0, 3] = True
    keep[..., np.arange(N_Q), np.arange(N_Q)] = True
    if empty:
        keep[..., 1, :] = False
    return keep


def spellings(keep: np.ndarray, polarity: str) -> list[np.ndarray]:
    """Boolean first, then 0/1 as integers, then as floats; additive: the two usual fills."""
    if polarity == "additive":
        return [np.where(keep, 0.0, fill) for fill in (-np.inf, -1e9)]
    said = ~keep if polarity == "hide" else keep
    return [said, said.astype(np.int64), said.astype(np.float64)]


def in_numpy(implementation: Implementation) -> bool:
    return "numpy" in implementation.name or implementation.name == "softmaxes.row_by_row"


def call(implementation: Implementation, arrays: list[np.ndarray], mask=None, **options):
    """Call with tensors or arrays; give (output, weights or None), and see that the inputs stay as they were."""
    convert = np.array if in_numpy(implementation) else torch.tensor
    given = [convert(a) for a in arrays]
    if mask is not None:
        name = next(n for n in inspect.signature(implementation.target).parameters if n in MASK_NAMES)
        options["mask" if name == "kwargs" else name] = convert(mask)
    result = implementation.target(*given, **options)
    assert all(np.array_equal(np.asarray(g), a) for g, a in zip(given, arrays, strict=True))
    if mask is not None:
        assert np.array_equal(np.asarray(next(o for o in options.values() if not isinstance(o, bool))), mask)
    several = isinstance(result, tuple | list)
    output, weights = (result[0], result[1]) if several else (result, None)
    if several and implementation.options.get("returns") == "weights_first":
        output, weights = weights, output
    assert output.dtype == given[0].dtype
    return np.asarray(output), None if weights is None else np.asarray(weights)


def factor_of(implementation: Implementation) -> float:
    return 1.0 if implementation.options.get("scaled") is False else D_K**-0.5


def takes_a_mask(implementation: Implementation) -> bool:
    return any(name in MASK_NAMES for name in inspect.signature(implementation.target).parameters)


def agrees(got, expected, tolerance: float) -> None:
    for mine, right in zip(got, expected, strict=True):
        if mine is not None:
            np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)


def layouts_of(implementation: Implementation) -> list[int]:
    """The layouts that it takes: no error, and an output of the right shape."""
    taken = []
    for layout in SHAPES:
        with contextlib.suppress(*REFUSED):
            if call(implementation, draw(layout))[0].shape == (*SHAPES[layout], N_Q, D_V):
                taken.append(layout)
    assert taken
    return taken


def tolerance_of(implementation: Implementation) -> float:
    return 1e-6 if implementation.name.endswith("like_llama") else 1e-12


@of("attention")
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_attention_without_a_mask(implementation, size):
    for layout in layouts_of(implementation):
        arrays = draw(layout, size)
        expected = references(*arrays, np.array(True), factor_of(implementation))
        agrees(call(implementation, arrays), expected, tolerance_of(implementation) * (1e3 if size > 1 else 1))


def masked(implementation: Implementation, arrays, keep):
    """The result with the first spelling of the mask that it takes."""
    polarity = implementation.options.get("mask", "keep")
    for mask in spellings(keep, polarity):
        with contextlib.suppress(*REFUSED):
            return call(implementation, arrays, mask.astype(arrays[0].dtype) if polarity == "additive" else mask)
    raise AssertionError("it takes no mask")


@of("attention")
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_attention_with_a_mask(implementation, size):
    for layout in layouts_of(implementation) if takes_a_mask(implementation) else []:
        arrays, keep = draw(layout, size), ragged(layout)
        expected = references(*arrays, keep, factor_of(implementation))
        agrees(masked(implementation, arrays, keep), expected, tolerance_of(implementation) * (1e3 if size > 1 else 1))


@of("attention")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attention_with_a_row_that_sees_no_key(implementation, dtype):
    """The other rows are right; this one is zeros, the mean of V or, where a number is added, as if all was seen."""
    tolerance = 1e-5 if dtype is np.float32 else tolerance_of(implementation)
    for layout in layouts_of(implementation) if takes_a_mask(implementation) else []:
        arrays, keep = [a.astype(dtype) for a in draw(layout)], ragged(layout, empty=True)
        output, _ = masked(implementation, arrays, keep)
        expected, _ = references(*arrays, keep, factor_of(implementation))
        others = [0, 2, 3, 4]
        np.testing.assert_allclose(output[..., others, :], expected[..., others, :], atol=tolerance)
        free, _ = references(*arrays, np.array(True), factor_of(implementation))
        choices = [np.zeros_like(free[..., 1, :]), arrays[2].mean(-2), free[..., 1, :]]
        assert any(np.allclose(output[..., 1, :], choice, atol=1e-5) for choice in choices)


@of("attention")
def test_attention_honours_the_switch_of_the_scale(implementation):
    if "scale" not in inspect.signature(implementation.target).parameters and "any" not in implementation.name:
        return
    for layout in layouts_of(implementation):
        arrays = draw(layout)
        agrees(call(implementation, arrays, scale=False), references(*arrays, np.array(True), 1.0), 1e-12)


@of("attention")
def test_attention_keeps_single_precision(implementation):
    for layout in layouts_of(implementation):
        arrays = [a.astype(np.float32) for a in draw(layout)]
        expected = references(*(a.astype(np.float64) for a in arrays), np.array(True), factor_of(implementation))
        agrees(call(implementation, arrays), expected, 1e-5)


@of("attention")
def test_attention_has_the_right_slope(implementation):
    """The gradient along one direction, against a difference quotient of the reference."""
    if in_numpy(implementation):
        return
    layout = layouts_of(implementation)[0]
    arrays = draw(layout)
    rng = np.random.default_rng(3)
    step, pull = [rng.normal(size=a.shape) for a in arrays], rng.normal(size=(*SHAPES[layout], N_Q, D_V))
    ahead, behind = (
        references(*(a + e * s for a, s in zip(arrays, step, strict=True)), np.array(True), factor_of(implementation))[
            0
        ]
        for e in (1e-5, -1e-5)
    )
    given = [torch.tensor(a, requires_grad=True) for a in arrays]
    result = implementation.target(*given)
    if isinstance(result, tuple | list):
        result = result[implementation.options.get("returns") == "weights_first"]
    slopes = torch.autograd.grad((result * torch.tensor(pull)).sum(), given)
    slope = sum((g.numpy() * s).sum() for g, s in zip(slopes, step, strict=True))
    assert slope == pytest.approx(((ahead - behind) * pull).sum() / 2e-5, rel=1e-4)


@of("causal_attention")
@pytest.mark.parametrize(("n_q", "n_k"), [(5, 5), (5, 7), (7, 5)])
def test_causal_attention(implementation, n_q, n_k):
    shift = 0 if implementation.options.get("align") == "start" else n_k - n_q
    keep = np.array([[j <= i + shift for j in range(n_k)] for i in range(n_q)])
    some = keep.any(-1)
    for layout in (2, 3, 4) if "batch" not in implementation.name else (3,):
        arrays = draw(layout, n_q=n_q, n_k=n_k)
        output, weights = call(implementation, arrays)
        expected, right = references(*arrays, keep, D_K**-0.5)
        np.testing.assert_allclose(output[..., some, :], expected[..., some, :], atol=1e-12)
        assert np.isfinite(output).all()
        if weights is not None:
            np.testing.assert_allclose(weights[..., some, :], right[..., some, :], atol=1e-12)


@of("softmax")
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_softmax(implementation, size):
    x = np.random.default_rng(1).normal(size=(2, 5, 7)) * size
    rows = [[math.exp(v - max(row)) for v in row] for row in x.reshape(-1, 7)]
    expected = np.array([[v / math.fsum(row) for v in row] for row in rows]).reshape(x.shape)
    agrees(call(implementation, [x])[:1], (expected,), 1e-12)
