"""What `diagnose` says of functions: the verdict, the names, the ties, and what it says when it has no name."""

import json
import math

import numpy as np
import pytest
import torch

from attention_surgeon.diagnose import Diagnosis, diagnose
from attention_surgeon.testing import make_contract

pytestmark = pytest.mark.usefixtures("own_messages")  # with the shape checks of the hook it takes ten times as long


def attention(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1).nan_to_num()
    return weights @ V, weights


def without_mask(Q, K, V):
    return (Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(-1) @ V


def in_numpy(Q, K, V, mask=None):
    scores = Q @ np.swapaxes(K, -1, -2) / np.sqrt(K.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ V


def of_one_sequence(q, k, v):
    rows = []
    for query in q:
        e = torch.stack([query @ key for key in k]).div(len(query) ** 0.5).softmax(0)
        rows.append(sum(weight * value for weight, value in zip(e, v, strict=True)))
    return torch.stack(rows)


@pytest.mark.parametrize("right", [attention, without_mask, in_numpy, of_one_sequence])
def test_a_right_one_is_right_and_nothing_else_is_said(right):
    diagnosis = diagnose(right, "attention")
    assert diagnosis.verdict == "right"
    assert (diagnosis.names, diagnosis.ties, diagnosis.behaviour, diagnosis.reason) == ((), (), (), "")
    assert diagnosis.difference is diagnosis.counterexample is None
    assert diagnosis.is_recognised
    assert diagnosis.calls[0] == "plain"
    assert diagnosis.called_with.startswith("plain: Q (")
    assert diagnosis.seconds > 0


def unscaled(Q, K, V, mask=None):
    scores = Q @ K.mT
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1) @ V


def unscaled_and_inverted(Q, K, V, mask=None):
    scores = Q @ K.mT
    return (scores if mask is None else scores.masked_fill(mask, -1e9)).softmax(-1) @ V


def three_at_once(Q, K, V, mask=None):
    scores = Q @ K.mT / Q.shape[-1]
    scores = scores if mask is None else scores.masked_fill(mask, -1e9)
    return scores.softmax(-2) @ V


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (unscaled, ("scale_missing",)),
        (unscaled_and_inverted, ("scale_missing", "mask_inverted")),
        (three_at_once, ("scale_by_key_size", "mask_inverted", "softmax_over_queries")),
    ],
)
def test_one_two_and_three_faults_are_named_in_the_order_of_the_pipeline(wrong, names):
    diagnosis = diagnose(wrong, "attention")
    assert diagnosis.verdict == "wrong"
    assert diagnosis.names == names
    assert diagnosis.names_all(*names)
    assert not diagnosis.names_all(*names, "softmax_twice")
    assert diagnosis.is_recognised


def test_the_first_step_that_differs_is_shown_with_its_numbers():
    difference = diagnose(unscaled, "attention").difference
    assert difference is not None
    assert (difference.step, difference.right_before) == ("scaled", ("scores",))
    assert difference.call.startswith("plain: Q (2, 5, 11)")
    np.testing.assert_allclose(difference.yours, difference.expected * math.sqrt(11))


def test_a_fault_of_the_mask_differs_first_where_there_is_one():
    difference = diagnose(lambda Q, K, V, mask=None: without_mask(Q, K, V), "attention").difference
    assert difference is not None
    assert (difference.step, difference.right_before) == ("masked", ("scores", "scaled"))
    hidden = np.isneginf(difference.expected)
    assert difference.call.startswith("masked")
    assert hidden.any()
    np.testing.assert_allclose(difference.yours[~hidden], difference.expected[~hidden])


def test_the_same_function_is_a_tie():
    def prescaled_twice(Q, K, V):
        d = Q.shape[-1] ** 0.5
        return ((Q / d) @ (K / d).mT).softmax(-1) @ V

    diagnosis = diagnose(prescaled_twice, "attention")
    assert {("scale_by_key_size",), ("scale_twice",)} <= set(diagnosis.ties)
    assert diagnosis.names == diagnosis.ties[0]
    assert diagnosis.names_all("scale_twice")
    assert diagnosis.names_all("scale_by_key_size")
    assert not diagnosis.names_all("scale_twice", "scale_by_key_size")


def test_no_tie_where_there_is_one_explanation():
    assert diagnose(unscaled, "attention").ties == ()


@pytest.mark.parametrize("divisor", [8.0, 3.0])
def test_a_constant_in_place_of_the_root_is_read_off(divisor):
    (fault,) = diagnose(lambda Q, K, V: (Q @ K.mT / divisor).softmax(-1) @ V, "attention").faults
    assert fault.name == "scale_hard_coded"
    assert fault.summary.endswith(f"(here: {1 / divisor:.4g})")


@pytest.mark.parametrize("fill", [-7.5, -3.0])
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_a_fill_that_is_too_small_is_read_off(fill, library):
    def in_torch(Q, K, V, mask=None):
        scores = Q @ K.mT / math.sqrt(Q.shape[-1])
        return (scores if mask is None else scores.masked_fill(~mask, fill)).softmax(-1) @ V

    def in_arrays(Q, K, V, mask=None):
        scores = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
        e = np.exp(scores if mask is None else np.where(mask, scores, fill))
        return e / e.sum(-1, keepdims=True) @ V

    diagnosis = diagnose(in_torch if library == "torch" else in_arrays, "attention")
    fault = diagnosis.faults[0]
    assert fault.name == "mask_fill_too_small"
    number = float(fault.summary.rpartition("(here: ")[2].rstrip(")"))
    assert number == pytest.approx(fill, rel=5e-3)


def soft_capped(Q, K, V, mask=None):
    scores = 3 * torch.tanh(Q @ K.mT / math.sqrt(Q.shape[-1]))
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1) @ V


def squared_output(Q, K, V, mask=None):
    return attention(Q, K, V, mask)[0] ** 2


def odd_with_masks(Q, K, V, mask=None):
    """Right without a mask; with one, every key after the first hidden one counts with the cube of its weight."""
    weights = attention(Q, K, V)[1]
    if mask is not None:
        weights = torch.where(mask, weights, weights**3)
    return weights / weights.sum(-1, keepdim=True) @ V


@pytest.mark.parametrize(
    ("unknown", "step", "before", "call"),
    [
        (soft_capped, "weights", (), "plain"),
        (squared_output, "output", (), "plain"),
        (odd_with_masks, "weights", ("scores", "scaled"), "masked"),
    ],
)
def test_an_unknown_mistake_gets_no_name_but_the_first_value_that_differs(unknown, step, before, call):
    diagnosis = diagnose(unknown, "attention")
    assert diagnosis.verdict == "wrong"
    assert not diagnosis.is_recognised
    assert diagnosis.names == ()
    difference = diagnosis.difference
    assert difference is not None
    assert (difference.step, difference.right_before) == (step, before)
    assert difference.call.startswith(f"{call}: ")
    if step == "weights":
        np.testing.assert_allclose(difference.yours.sum(-1), 1.0, atol=1e-4)
        np.testing.assert_allclose(difference.expected.sum(-1), 1.0, atol=1e-9)
    assert diagnosis.counterexample is not None


@pytest.mark.parametrize(
    ("target", "contract", "options"),
    [
        (unscaled, "attention", {}),
        (soft_capped, "attention", {}),
        (unscaled_and_inverted, "attention", {}),
        (attention, "attention", {"mask": "hide"}),
        (attention, "attention", {"scaled": False}),
        (lambda Q, K, V, mask=None: in_numpy(Q, K, V, None), "attention", {}),
        (lambda Q, K, V, mask=None: attention(Q, K, V), "attention", {"mask": "additive"}),
    ],
)  # fmt: skip
def test_a_counterexample_can_be_pasted_and_gives_the_numbers_that_are_shown(target, contract, options):
    example = diagnose(target, contract, **options).counterexample
    assert example is not None
    pasted = {}
    exec(example.inputs, {"torch": torch, "np": np, "float": float}, pasted)
    given = target(pasted["Q"], pasted["K"], pasted["V"], *([pasted["mask"]] if "mask" in pasted else []))
    shown = given[["output", "weights"].index(example.what)] if isinstance(given, tuple) else given
    assert all(bool((pasted[name] == pasted[name].round()).all()) for name in "QKV")
    np.testing.assert_allclose(np.asarray(shown).reshape(np.shape(example.yours)), example.yours, atol=1e-5)
    assert not np.allclose(example.yours, example.expected, atol=1e-4)


def test_what_is_expected_in_a_counterexample_is_what_attention_gives():
    example = diagnose(unscaled_and_inverted, "attention").counterexample
    assert example is not None
    pasted = {}
    exec(example.inputs, {"torch": torch}, pasted)
    expected, _ = attention(pasted["Q"], pasted["K"], pasted["V"], pasted.get("mask"))
    np.testing.assert_allclose(expected[0].numpy(), example.expected, atol=1e-5)


def test_no_row_that_may_differ_is_shown_as_a_counterexample():
    """A finite fill gives the mean of V to a query without keys: right, and so no example of another mistake."""

    def cast(Q, K, V, mask=None):
        scores = Q @ K.mT / math.sqrt(Q.shape[-1])
        return ((scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1) @ V).float()

    diagnosis = diagnose(cast, "attention")
    assert diagnosis.names == ("wrong_dtype",)
    assert diagnosis.counterexample is None
    assert diagnosis.difference is None


SOURCE = '''
def {attention}({Q}, {K}, {V}, {mask}=None):
    """{said}"""
    {scores} = {Q} @ {K}.transpose(-2, -1)  # {said}
    if {mask} is not None:
        {scores} = {scores}.masked_fill({mask}, -1e9)
    return {scores}.softmax(-1) @ {V}
'''
PLAIN = {
    "attention": "attention",
    "Q": "Q",
    "K": "K",
    "V": "V",
    "mask": "mask",
    "scores": "scores",
    "said": "Attention.",
}
RENAMED = [
    {"attention": "softmax_over_queries", "scores": "masked_twice", "said": "The scale is by d_k, softmax twice."},
    {"Q": "V", "K": "Q", "V": "K", "said": "query and value are swapped"},
    {"attention": "f", "Q": "a", "K": "b", "V": "c", "mask": "m", "scores": "x", "said": "x"},
]


def written(names):
    made = {}
    exec(SOURCE.format(**PLAIN | names), {}, made)
    return made[(PLAIN | names)["attention"]]


def without_time(diagnosis: Diagnosis):
    return {name: value for name, value in diagnosis.as_dict().items() if name != "seconds"}


@pytest.mark.parametrize("names", RENAMED, ids=lambda names: names["said"])
def test_names_and_comments_do_not_matter(names):
    assert without_time(diagnose(written(names), "attention")) == without_time(diagnose(written({}), "attention"))


def test_the_same_twice_whatever_was_drawn_before():
    first = without_time(diagnose(unscaled_and_inverted, "attention"))
    torch.manual_seed(11)
    np.random.default_rng(11)
    diagnose(soft_capped, "attention")
    assert without_time(diagnose(unscaled_and_inverted, "attention")) == first


def test_the_sources_of_random_numbers_are_left_as_they_were():
    def with_dropout(Q, K, V):
        np.random.random()  # noqa: NPY002  the old global source is what must be kept
        return torch.dropout((Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(-1), 0.3, train=True) @ V

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert diagnose(with_dropout, "attention").names == ("dropout_in_eval",)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


NO_CALL = "it answers no call; with Q, K, V of three axes it raises"
UNJUDGED = [
    (3, "attention", "it is a int, expected a function or a class whose objects are callable."),
    (lambda x: x, "attention", "it takes 1 positional arguments, expected at least 3: query, key, value."),
    (lambda Q, K, V, *, hue: Q, "attention", "it needs the argument 'hue', whose meaning the contract does not know."),
    (lambda Q, K, V: 1 / 0, "attention", f"{NO_CALL} ZeroDivisionError: division by zero"),
    (
        lambda Q, K, V: None,
        "attention",
        f"{NO_CALL.removesuffix(' it raises')} it returned NoneType, expected a tensor or (output, weights)",
    ),
    (torch.nn.ReLU, "multihead", "it has no weight matrices; a layer keeps its projections as parameters or arrays."),
]


@pytest.mark.parametrize(("target", "contract", "reason"), UNJUDGED)
def test_what_cannot_be_judged_is_told_with_the_reason(target, contract, reason):
    diagnosis = diagnose(target, contract)
    assert diagnosis.verdict == "unjudged"
    assert diagnosis.reason == reason
    assert (diagnosis.names, diagnosis.difference, diagnosis.counterexample) == ((), None, None)


@pytest.mark.parametrize("target", [attention, unscaled, soft_capped, lambda x: x])
def test_a_diagnosis_is_plain_data(target):
    diagnosis = diagnose(target, "attention")
    data = json.loads(json.dumps(diagnosis.as_dict(), allow_nan=False))
    assert data["verdict"] == diagnosis.verdict
    assert tuple(data["faults"]) == diagnosis.names


def raises_at_equal_sizes(Q, K, V, mask=None):
    if Q.shape[-1] == K.shape[-2]:
        raise IndexError("no square matrices today")
    return attention(Q, K, V, mask)


def test_an_error_in_one_call_is_told_with_the_call():
    diagnosis = diagnose(raises_at_equal_sizes, "attention")
    assert diagnosis.verdict == "wrong"
    assert [seen.evidence for seen in diagnosis.behaviour] == [
        "it raises in the call all sizes equal: Q (2, 7, 7), K (2, 7, 7), V (2, 7, 7): "
        "IndexError: no square matrices today"
    ]


def test_a_contract_may_be_an_object_or_a_name_with_options():
    inverted = diagnose(unscaled, make_contract("attention", scaled=False))
    assert inverted.verdict == diagnose(unscaled, "attention", scaled=False).verdict == "right"
    assert diagnose(attention, "attention", scaled=False).names == ("scale_not_asked",)


def test_no_step_is_called_right_that_is_wrong_where_scores_are_large():
    def two_mistakes(Q, K, V):
        weights = torch.exp(Q @ K.mT / math.sqrt(Q.shape[-1]))
        return (weights / weights.sum(-1, keepdim=True)) @ K

    diagnosis = diagnose(two_mistakes, "attention")
    assert set(diagnosis.names) == {"key_as_value", "softmax_no_max_subtraction"}
    assert diagnosis.difference is not None
    assert "weights" not in diagnosis.difference.right_before
