"""The wrong implementations are wrong: each differs from a float64 reference of this file's own."""

from collections import Counter

import numpy as np
import pytest
import torch

import tests.implementations.wrong  # noqa: F401 (fills WRONG)
from tests.implementations.implementation import WRONG, Implementation

# Right numbers on one call in float64; the judge sees these by other means.
STATE = {"mutates_inputs", "cuts_gradient", "wrong_dtype", "dropout_in_eval", "shares_state"}
NOT_IN_ONE_OUTPUT = STATE | {"scale_flag_ignored"}
CANNOT_RUN = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, Warning)
FUNCTIONS = [one for one in WRONG if one.contract == "attention" and not NOT_IN_ONE_OUTPUT & set(one.faults)]


def reference(query, key, value, keep, bias, scale):
    """Loops over queries; a row without keys is NaN here and compared with nothing."""
    output = np.full((*query.shape[:-1], value.shape[-1]), np.nan)
    weights = np.zeros((*query.shape[:-1], key.shape[-2]))
    for index in np.ndindex(query.shape[:-1]):
        batch, open_keys = index[:-1], np.flatnonzero(keep[index])
        if len(open_keys):
            scores = key[batch][open_keys] @ query[index] * scale + bias[index][open_keys]
            exponents = np.exp(scores - scores.max())
            weights[(*index, open_keys)] = exponents / exponents.sum()
            output[index] = weights[index] @ value[batch]
    return output, weights


def probes(additive):
    """Sizes `(batch..., n_q, n_k, d_k, d_v)` that differ, then that agree; masked or not; small and large scores."""
    generator = np.random.default_rng(11)
    for sizes in [(3, 5, 7, 11, 13), (2, 3, 5, 7, 11, 13), (3, 7, 7, 7, 7), (7, 7, 7, 7)]:
        *batch, n_q, n_k, d_k, d_v = sizes
        for masked in (False, True):
            for size in (1.0, 30.0, 300.0):
                query, key, value = (
                    generator.normal(size=(*batch, *shape)) for shape in ((n_q, d_k), (n_k, d_k), (n_k, d_v))
                )
                keep, bias = np.ones((*batch, n_q, n_k), dtype=bool), np.zeros((*batch, n_q, n_k))
                if masked and additive:
                    bias = generator.normal(size=bias.shape)
                elif masked:
                    keep = generator.random(keep.shape) < 0.6
                    keep[..., 1, :] = False
                yield size * query, key, value, keep, bias, masked


def run(one: Implementation, arrays, mask):
    """What it returns, as arrays; None where these sizes cannot be run."""
    for wrap in (torch.tensor, np.array):
        try:
            with np.errstate(all="ignore"):
                returned = one.target(*map(wrap, arrays), *([] if mask is None else [wrap(mask)]))
            returned = returned if isinstance(returned, tuple) else (returned,)
            if isinstance(returned[0], torch.Tensor) == (wrap is torch.tensor):
                return [np.asarray(item) for item in returned[:2]]
        except CANNOT_RUN:
            continue
    return None


def differs(returned, expected) -> bool:
    """In a row that has a key; in one that has none only NaN is wrong."""
    if any(got.shape != right.shape for got, right in zip(returned, expected, strict=False)):
        return True
    alive = ~np.isnan(expected[0]).any(-1)
    close = (
        np.allclose(got[alive], right[alive], rtol=1e-6, atol=1e-9)
        for got, right in zip(returned, expected, strict=False)
    )
    return np.isnan(returned[0]).any() or not all(close)


@pytest.mark.parametrize("one", FUNCTIONS, ids=lambda one: one.name)
def test_each_function_differs_from_the_reference(one):
    convention = one.options.get("mask", "keep")
    ran = False
    for query, key, value, keep, bias, masked in probes(convention == "additive"):
        scale = query.shape[-1] ** -0.5 if one.options.get("scaled", True) else 1.0
        mask = {"keep": keep, "hide": ~keep, "additive": bias}[convention] if masked else None
        returned = run(one, (query, key, value), mask)
        ran |= returned is not None
        if returned is not None and differs(returned, reference(query, key, value, keep, bias, scale)):
            return
    pytest.fail("it is right everywhere" if ran else "it runs at none of the sizes")


@pytest.mark.parametrize(
    "right",
    [
        lambda q, k, v, mask=None: torch.nn.functional.scaled_dot_product_attention(q, k, v, mask),
        lambda q, k, v, mask=None: (
            torch.where(torch.tensor(True) if mask is None else mask, q @ k.mT / q.shape[-1] ** 0.5, -1e300).softmax(-1)
            @ v
        ),
    ],
    ids=["sdpa", "finite fill"],
)
def test_right_attention_does_not_differ(right):
    one = Implementation("right", right, "attention")
    for query, key, value, keep, bias, masked in probes(additive=False):
        returned = run(one, (query, key, value), keep if masked else None)
        assert not differs(returned, reference(query, key, value, keep, bias, query.shape[-1] ** -0.5))


def test_the_flag_alone_is_ignored_where_that_is_the_fault():
    flagged = [one for one in WRONG if one.faults == ("scale_flag_ignored",)]
    assert flagged
    for one in flagged:
        query, key, value = (torch.randn(3, n, d) for n, d in ((5, 11), (7, 11), (7, 13)))
        outputs = [one.target(query, key, value, None, scale)[0] for scale in (True, False)]
        assert torch.equal(*outputs)


def test_names_are_unique():
    assert [name for name, count in Counter(one.name for one in WRONG).items() if count > 1] == []


def test_there_are_enough_in_enough_kinds():
    assert len(WRONG) >= 300
    assert sum(len(one.faults) == 2 for one in WRONG) >= 25
    assert sum(len(one.faults) == 3 for one in WRONG) >= 3
    assert {one.contract for one in WRONG} == {
        *("attention", "causal_attention", "softmax", "causal_mask", "reverse_mask", "padding_mask", "statistics"),
        *("simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery"),
    }


def test_no_fault_is_claimed_twice():
    assert [one.name for one in WRONG if len(set(one.faults)) != len(one.faults)] == []
