"""How an attention function is found out: library, axes, mask, switch; and what its calls are."""

import math

import numpy as np
import pytest
import torch

from attention_surgeon import masks, ops
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.faults import catalogue
from attention_surgeon.ops import Circuit
from attention_surgeon.testing import make_contract
from attention_surgeon.testing.answer import Answer, same_answer, solve_weights
from attention_surgeon.testing.draw import SIZES

pytestmark = pytest.mark.usefixtures("own_messages")


def attention(Q, K, V, mask=None):
    return ops.attention(Q, K, V, mask)


def in_numpy(Q, K, V, mask=None):
    scores = Q @ np.swapaxes(K, -1, -2) / np.sqrt(K.shape[-1])
    e = np.exp(scores if mask is None else np.where(mask, scores, -1e9))
    return e / e.sum(-1, keepdims=True) @ V


def of_two_axes(Q, K, V):
    (_n, d), (_, _) = Q.shape, K.shape
    return (Q @ K.T / math.sqrt(d)).softmax(-1) @ V


def of_four_axes(Q, K, V):
    _batch, _heads, _n, d = Q.shape
    return (Q @ K.mT / math.sqrt(d)).softmax(-1) @ V


def of_equal_sizes(Q, K, V):
    return (Q @ K / math.sqrt(Q.shape[-1])).softmax(-1) @ V


def bound(target, name="attention", **options):
    return make_contract(name, **options).bind(target)


@pytest.mark.parametrize(
    ("target", "library", "layout"),
    [(attention, "torch", 3), (in_numpy, "numpy", 3), (of_two_axes, "torch", 2), (of_four_axes, "torch", 4)],
)
def test_library_and_axes_are_found_by_calling(target, library, layout):
    subject = bound(target)
    assert (subject.library, subject.layout) == (library, layout)
    for case in subject.cases(0):
        assert case.operands.query.ndim == layout
        assert same_answer(subject.ask(case), subject.answer(subject.base, case))


def test_what_runs_at_equal_sizes_only_is_judged_there():
    subject = bound(of_equal_sizes)
    answered = [case.name for case in subject.cases(0) if subject.ask(case).error is None]
    assert answered == ["all sizes equal"]


def names(subject, probe=0):
    return [case.name for case in subject.cases(probe)]


def test_calls_are_those_that_the_function_can_take():
    assert names(bound(of_two_axes)) == ["plain", "self", "all sizes equal"]
    with_mask = ["plain", "self", "masked", "causal mask", "padding mask", "all sizes equal", "all sizes equal, masked"]
    assert names(bound(attention)) == with_mask
    assert set(names(bound(ops.attention))) - set(with_mask) == {"unscaled"}
    assert set(names(bound(attention, mask="additive"))) - set(with_mask) == {"biased"}


@pytest.mark.parametrize("probe", [0, 1])
def test_all_sizes_of_a_probe_are_different_primes(probe):
    sizes = SIZES[probe]
    numbers = [sizes.batch, sizes.heads, sizes.n_q, sizes.n_k, sizes.d_k, sizes.d_v]
    assert len(set(numbers)) == 6
    assert all(n > 1 and all(n % divisor for divisor in range(2, n)) for n in numbers)
    plain = bound(attention).cases(probe)[0].operands
    assert tuple(plain.query.shape) == (sizes.batch, sizes.n_q, sizes.d_k)
    assert tuple(plain.value.shape) == (sizes.batch, sizes.n_k, sizes.d_v)


def test_the_probes_share_no_numbers_and_are_the_same_every_time():
    subject = bound(attention)
    first, second = (subject.cases(probe)[0].operands for probe in (0, 1))
    assert not np.intersect1d(first.query.numpy(), second.query.numpy()).size
    again = bound(lambda Q, K, V, mask=None: V).cases(0)[0].operands
    assert torch.equal(first.query, again.query)


def test_the_ragged_mask_has_both_kinds_in_every_row_and_column_and_differs_between_sequences():
    mask = next(case for case in bound(attention).cases(0) if case.name == "masked").operands.allowed
    assert mask.any(-1).all()
    assert mask.any(-2).all()
    assert not mask.all(-1).any()
    assert not mask.all(-2).any()
    assert not torch.equal(mask[0], mask[1])


def seen_masks(name, **options):
    seen = []

    def attend(Q, K, V, mask=None):
        seen.append(mask)
        return ops.attention(Q, K, V)

    subject = bound(attend, name, **options)
    case = next(case for case in subject.cases(0) if case.name == "masked")
    seen.clear()
    subject.ask(case)
    return seen[0], case.operands.allowed


def test_a_mask_is_handed_over_as_the_contract_says():
    given, allowed = seen_masks("attention")
    assert torch.equal(given, allowed)
    given, allowed = seen_masks("attention", mask="hide")
    assert torch.equal(given, ~allowed)
    given, allowed = seen_masks("attention", mask="additive")
    assert torch.equal(given.isneginf(), ~allowed)
    assert given.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_a_mask_is_handed_over_in_a_dtype_that_is_answered(dtype):
    def picky(Q, K, V, mask=None):
        assert mask is None or mask.dtype == dtype
        return ops.attention(Q, K, V, None if mask is None else mask.bool())

    subject = bound(picky)
    assert all(subject.ask(case).error is None for case in subject.cases(0))


@pytest.mark.parametrize(
    "target",
    [
        lambda query, key, value, attn_mask=None: ops.attention(query, key, value, attn_mask),
        lambda q, k, v, m=None: ops.attention(q, k, v, m),
        lambda q, k, v, dropout=0.0, mask=None: ops.attention(q, k, v, mask),
        lambda q, k, v, mask: ops.attention(q, k, v, mask),
        lambda q, k, v, mask, /: ops.attention(q, k, v, mask),
        lambda q, k, v, *rest: ops.attention(q, k, v, *rest),
        lambda q, k, v, *, attention_mask=None: ops.attention(q, k, v, attention_mask),
    ],
)
def test_the_mask_is_found_whatever_it_is_called(target):
    subject = bound(target)
    assert "masked" in names(subject)
    for case in subject.cases(0):
        assert same_answer(subject.ask(case), subject.answer(subject.base, case))


def test_a_class_is_made_for_the_size_of_the_keys():
    class Attention:
        def __init__(self, d_k, dropout=0.5):
            assert dropout == 0.0
            self.root = math.sqrt(d_k)

        def __call__(self, query, key, value):
            return (query @ key.mT / self.root).softmax(-1) @ value

    subject = bound(Attention)
    for case in (*subject.cases(0), *subject.cases(1)):
        assert same_answer(subject.ask(case), subject.answer(subject.base, case))


def offered(subject):
    return {fault.name for fault in subject.faults(catalogue())}


def test_faults_that_it_cannot_have_are_left_out():
    assert "scale_flag_ignored" in offered(bound(ops.attention))
    assert "scale_flag_ignored" not in offered(bound(attention))
    assert "scale_not_asked" in offered(bound(attention, scaled=False))
    assert "scale_missing" not in offered(bound(attention, scaled=False))
    assert "scale_by_model_width" not in offered(bound(attention))
    assert "scale_by_model_width" in offered(bound(of_four_axes))


@pytest.mark.parametrize("align", ["end", "start"])
def test_a_causal_function_is_expected_to_hide_the_future(align):
    def causal(Q, K, V):
        return ops.attention(Q, K, V, masks.causal_mask(Q.shape[-2], K.shape[-2], align=align).dense())[0]

    subject = bound(causal, "causal_attention", align=align)
    for case in (*subject.cases(0), *subject.cases(1)):
        assert case.operands.query.shape[-2] <= case.operands.key.shape[-2]
        assert same_answer(subject.ask(case), subject.answer(subject.base, case))
    assert f"causal_aligned_at_{align}" not in offered(subject)


def test_both_ways_to_treat_a_query_without_keys_are_accepted():
    subject = bound(attention)
    case = next(case for case in subject.cases(0) if case.name == "masked")
    case.operands.allowed[..., 1, :] = False  # a fresh mask: the calls are drawn again for another subject
    try:
        zeros, mean = (subject.answer(circuit, case).values[0][..., 1, :] for circuit in subject.variants())
        assert not zeros.any()
        np.testing.assert_allclose(mean, case.operands.value.mean(-2).numpy())
        assert all(subject.accepts(subject.answer(circuit, case), case) for circuit in subject.variants())
        assert not subject.accepts(Answer((np.full_like(zeros, 7.0), None)), case)
    finally:
        from attention_surgeon.testing.function_cases import function_cases

        function_cases.cache_clear()


def test_the_weights_are_read_off_the_output():
    subject = bound(lambda Q, K, V, mask=None: ops.attention(Q, K, V, mask)[0])
    case = subject.cases(0)[0]
    expected = subject.answer(Circuit(), case).values[1]
    np.testing.assert_allclose(subject.weights_of(subject.ask(case), case), expected, atol=1e-5)


def test_weights_that_the_output_does_not_tell_are_not_made_up():
    rng = np.random.default_rng(4)
    weights, value = rng.dirichlet(np.ones(5), size=3), rng.normal(size=(5, 7))
    np.testing.assert_allclose(solve_weights(weights @ value, value), weights)
    np.testing.assert_allclose(solve_weights(weights @ value[:, :5], value[:, :5]), weights)
    assert solve_weights(weights @ value[:, :3], value[:, :3]) is None  # fewer columns than keys
    assert solve_weights((weights @ value) ** 2, value) is None  # no mixture of the values at all
    assert solve_weights(rng.normal(size=(3, 5)), value[:, :5]) is None  # a mixture, but none that sums to 1
    assert solve_weights(np.full((3, 7), np.nan), value) is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (lambda Q, K: Q, "it takes 2 positional arguments, expected at least 3: query, key, value."),
        (lambda Q, K, V: (), "it answers no call; with Q, K, V of three axes it returned tuple, "),
        (lambda Q, K, V: V.no, "it answers no call; with Q, K, V of three axes it raises AttributeError: "),
        (type("Hollow", (), {}), "objects of the class Hollow cannot be called."),
    ],
)
def test_what_cannot_be_called_is_unjudged(target, reason):
    with pytest.raises(UnjudgedError) as caught:
        bound(target)
    assert str(caught.value).startswith(reason)


def test_the_order_of_what_is_returned_is_declared():
    swapped = bound(lambda Q, K, V: ops.attention(Q, K, V)[::-1], returns="weights_first")
    case = swapped.cases(0)[0]
    assert same_answer(swapped.ask(case), swapped.answer(swapped.base, case))


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        (lambda output, weights: output, False),
        (lambda output, weights: (output, weights), True),
        (lambda output, weights: [output, None], False),
        (lambda output, weights: {"output": output, "weights": weights}, True),
        (lambda output, weights: (output, torch.ones(3), weights), True),
    ],
)
def test_weights_are_found_among_what_is_returned(extra, found):
    subject = bound(lambda Q, K, V: extra(*ops.attention(Q, K, V)))
    answer = subject.ask(subject.cases(0)[0])
    assert (answer.values[1] is not None) == found
