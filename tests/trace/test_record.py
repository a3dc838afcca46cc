import dataclasses

import pytest
import torch

from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Mechanism, attention, leave_unscaled, multiply_by
from attention_surgeon.trace import TENSOR_NAMES, record
from tests.ops.probes import BATCH, D_K, D_V, HEADS, N_K, N_Q, additive, draw, qkv, ragged

QUERY_TOKENS = [f"q{position}" for position in range(N_Q)]
KEY_TOKENS = [f"k{position}" for position in range(N_K)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_record_is_what_attention_returned(dtype: torch.dtype):
    Q, K, V = qkv(dtype=dtype)
    trace = record(Q, K, V, ragged())
    output, weights = attention(Q, K, V, ragged())
    assert torch.equal(trace.output, output)
    assert torch.equal(trace.weights, weights)
    assert torch.equal(trace.query, Q)
    assert torch.equal(trace.key, K)
    assert torch.equal(trace.value, V)
    assert {getattr(trace, name).dtype for name in TENSOR_NAMES} == {dtype}
    assert trace.allowed is not None
    assert torch.equal(trace.allowed, ragged())
    assert trace.bias is None


def test_the_steps_and_their_names_are_those_of_the_mechanism():
    mechanism = Mechanism(scale=multiply_by(0.25))
    trace = record(*qkv(), mechanism=mechanism)
    assert torch.equal(trace.scaled, trace.scores * 0.25)
    assert trace.step_functions == (
        "dot_product",
        "multiply_by(0.25)",
        "add_bias_and_hide",
        "softmax_over_keys",
        "weighted_sum",
    )


def test_a_bias_and_what_it_hides_are_both_recorded():
    mask = draw(N_Q, N_K, seed=8) + additive(ragged()[0, 0])
    trace = record(*qkv(), mask)
    assert trace.bias is not None
    assert trace.allowed is not None
    assert torch.equal(trace.allowed, ragged()[0, 0].expand(BATCH, HEADS, N_Q, N_K))
    visible = trace.allowed
    assert torch.equal(trace.bias[visible], mask.expand(BATCH, HEADS, N_Q, N_K)[visible])
    assert torch.equal(trace.masked[visible], (trace.scaled + trace.bias)[visible])
    assert (trace.masked[~visible] == float("-inf")).all()


def test_nothing_is_left_to_broadcast():
    Q, K, V = draw(N_Q, D_K, seed=0), draw(HEADS, N_K, D_K, seed=1), draw(BATCH, 1, N_K, D_V, seed=2)
    trace = record(Q, K, V, causal_mask(N_Q, N_K))
    leading = (BATCH, HEADS)
    assert [tuple(getattr(trace, name).shape) for name in ("query", "key", "value")] == [
        (*leading, N_Q, D_K),
        (*leading, N_K, D_K),
        (*leading, N_K, D_V),
    ]
    assert trace.scores_shape == tuple(trace.weights.shape) == (*leading, N_Q, N_K)
    assert trace.allowed is not None
    assert trace.allowed.shape == trace.weights.shape
    for name in TENSOR_NAMES:
        assert tuple(getattr(trace, name).shape) == trace.expected_shape(name)


def test_the_record_is_a_copy_without_gradient():
    Q, K, V = (x.requires_grad_() for x in qkv())
    mask = ragged()
    trace = record(Q, K, V, mask)
    before = {name: getattr(trace, name).clone() for name in (*TENSOR_NAMES, "allowed")}
    with torch.no_grad():
        for tensor in (Q, K, V):
            tensor.fill_(9.0)
        mask.fill_(True)
    for name, tensor in before.items():
        assert torch.equal(getattr(trace, name), tensor)
        assert not getattr(trace, name).requires_grad


def test_a_query_that_is_also_the_key_is_copied_twice():
    x = draw(N_Q, D_K, seed=0)
    trace = record(x, x, x)
    trace.query.fill_(0.0)
    assert torch.equal(trace.key, x)
    assert torch.equal(trace.value, x)


def test_it_is_frozen():
    trace = record(*qkv())
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'source'"):
        trace.source = "elsewhere"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("num_leading", "names"),
    [(0, ()), (1, ("head",)), (2, ("batch", "head")), (4, ("axis0", "axis1", "batch", "head"))],
)
def test_axes_have_names(num_leading: int, names: tuple[str, ...]):
    leading = (2, 3, 2, 3)[:num_leading]
    x = draw(*leading, N_Q, D_K, seed=0)
    assert record(x, x, x).axes == (*names, "query", "key")


def test_leading_axes_can_be_named():
    x = draw(BATCH, N_Q, D_K, seed=0)
    trace = record(x, x, x, leading_axes=["batch"])
    assert trace.axes == ("batch", "query", "key")
    assert trace.num_heads is None


@pytest.mark.parametrize(
    ("query_tokens", "key_tokens", "n_k", "expected"),
    [
        (None, None, N_Q, (list("01234"), list("01234"))),
        (QUERY_TOKENS, None, N_Q, (QUERY_TOKENS, QUERY_TOKENS)),
        (None, QUERY_TOKENS, N_Q, (QUERY_TOKENS, QUERY_TOKENS)),
        (QUERY_TOKENS, None, N_K, (QUERY_TOKENS, list("0123456"))),
        (QUERY_TOKENS, KEY_TOKENS, N_K, (QUERY_TOKENS, KEY_TOKENS)),
    ],
)
def test_tokens_that_were_not_given(query_tokens, key_tokens, n_k, expected):
    Q, K, V = draw(N_Q, D_K, seed=0), draw(n_k, D_K, seed=1), draw(n_k, D_V, seed=2)
    trace = record(Q, K, V, query_tokens=query_tokens, key_tokens=key_tokens)
    assert (list(trace.query_tokens), list(trace.key_tokens)) == expected


def test_the_repr_is_one_short_line():
    Q, K, V = qkv(dtype=torch.bfloat16)
    assert repr(record(Q, K, V)) == "AttentionTrace(batch 2, head 3, query 5, key 7, d_k 11, d_v 13, bfloat16)"
    assert repr(record(Q[0, 0], K[0, 0], V[0, 0], source="a test")) == (
        "AttentionTrace(query 5, key 7, d_k 11, d_v 13, bfloat16, source='a test')"
    )


def test_one_head_is_what_attention_does_with_that_head():
    Q, K, V = qkv()
    trace = record(Q, K, V, draw(N_Q, N_K, seed=8), query_tokens=QUERY_TOKENS, key_tokens=KEY_TOKENS, source="s")
    head = trace.select("batch", 1).head(-1)
    assert head.axes == ("query", "key")
    for name in (*TENSOR_NAMES, "bias"):
        assert torch.equal(getattr(head, name), getattr(trace, name)[1, 2]), name
    alone = record(Q[1, 2], K[1, 2], V[1, 2], draw(N_Q, N_K, seed=8))
    assert torch.allclose(head.weights, alone.weights, rtol=0, atol=1e-15)
    for name in ("query_tokens", "key_tokens", "step_functions", "source"):
        assert getattr(head, name) == getattr(trace, name)
    head.weights.fill_(0.0)
    assert trace.weights[1, 2].any()
    assert torch.equal(trace.head(1).weights, trace.weights[:, 1])
    assert trace.head(1).axes == ("batch", "query", "key")


def test_steps_tell_shape_range_and_formula():
    Q, K = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    V = torch.tensor([[10.0], [-20.0], [float("nan")]])
    told = {step.name: step for step in record(Q, K, V, torch.tensor([[True, True, False]])).steps()}
    assert list(told) == list(TENSOR_NAMES)
    assert (told["scores"].shape, told["scores"].lowest, told["scores"].highest) == ((1, 3), 3.0, 63.0)
    assert (told["masked"].lowest, told["masked"].num_hidden, told["masked"].num_broken) == (
        pytest.approx(3 / 2**0.5),
        1,
        0,
    )
    assert (told["value"].lowest, told["value"].highest, told["value"].num_broken) == (-20.0, 10.0, 1)
    assert (told["output"].lowest, told["output"].highest, told["output"].num_broken) == (None, None, 1)
    assert [step.formula for step in told.values()] == [
        "Q",
        "K",
        "V",
        "Q Kᵀ",
        "scores / √2",
        "hidden → -inf",
        "softmax",
        "weights V",
    ]
    assert [step.function for step in told.values()][:4] == [None, None, None, "dot_product"]


def test_a_replaced_step_is_told_by_its_name():
    def everything_twice(masked, operands):
        return masked.softmax(-1) * 2

    trace = record(*qkv(), mechanism=Mechanism(scale=leave_unscaled, normalise=everything_twice))
    told = {step.name: step.formula for step in trace.steps()}
    assert told["scaled"] == "scores"
    assert told["weights"] == "everything_twice"


def test_the_strongest_pair_excludes_nothing():
    weights = torch.tensor([[[0.6, 0.4], [0.1, 0.9]], [[0.95, 0.05], [0.2, 0.8]]])
    x = torch.eye(2).expand(2, 2, 2)
    trace = dataclasses.replace(record(x, x, x, query_tokens=["a", "b"]), weights=weights)
    assert trace.strongest_pair() == (pytest.approx(0.95), (1, 0, 0), "a", "a", 0)
    assert trace.strongest_pair(skip_self=True) == (pytest.approx(0.4), (0, 0, 1), "a", "b", 0)


def test_ties_are_said_and_the_first_is_named():
    x = torch.zeros(3, 2)
    pair = record(x, x, x).strongest_pair()
    assert pair == (pytest.approx(1 / 3), (0, 0), "0", "0", 8)


@pytest.mark.parametrize("weights", [torch.zeros(2, 2), torch.full((2, 2), float("nan"))])
def test_no_weight_no_pair(weights: torch.Tensor):
    x = torch.eye(2)
    trace = dataclasses.replace(record(x, x, x), weights=weights)
    assert trace.strongest_pair() is None


def test_nan_is_not_the_strongest():
    x = torch.eye(2)
    trace = dataclasses.replace(record(x, x, x), weights=torch.tensor([[float("nan"), 0.2], [0.3, 0.1]]))
    assert trace.strongest_pair() == (pytest.approx(0.3), (1, 0), "1", "0", 0)
