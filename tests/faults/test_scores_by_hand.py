"""Operands, scores, output and what is returned, worked out with a pencil."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults import find_fault
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears
from tests.faults.probes import close, draw, faulty, given, matrix, run, run_usual

Q, K, V = matrix([1.0, 2.0]), matrix([3.0, 5.0], [7.0, 11.0]), matrix([13.0, 17.0], [19.0, 23.0])


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("query_as_key", matrix([5.0])),
        ("key_as_query", matrix([34.0, 76.0], [76.0, 170.0])),
        ("value_as_key", matrix([47.0, 65.0])),
        ("value_as_query", matrix([124.0, 278.0], [172.0, 386.0])),
        ("query_key_swapped", matrix([13.0], [29.0])),
        ("key_value_swapped", matrix([47.0, 65.0])),
        ("query_value_swapped", matrix([124.0, 278.0], [172.0, 386.0])),
        ("operands_rotated", matrix([124.0, 172.0], [278.0, 386.0])),
        ("key_as_value", matrix([13.0, 29.0])),
        ("query_as_value", matrix([13.0, 29.0])),
        ("scores_transposed", matrix([13.0], [29.0])),
        ("scores_negated", matrix([-13.0, -29.0])),
        ("key_not_transposed", matrix([17.0, 27.0])),
        ("key_reshaped", matrix([17.0, 27.0])),
        ("distance_scores", matrix([-13.0, -117.0])),
        ("cosine_scores", matrix([13 / math.sqrt(5 * 34), 29 / math.sqrt(5 * 170)])),
    ],
)
def test_the_scores(name: str, scores: Tensor):
    circuit = faulty(name)
    query, key, value = circuit.assign(Q, K, V)
    assert close(circuit.mechanism.score(given(query, key, value)), scores)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("key_as_value", 1),
        ("key_value_swapped", 1),
        ("query_as_value", 0),
        ("query_value_swapped", 0),
        ("operands_rotated", 0),
    ],
)
def test_what_is_gathered(name: str, role: int):
    assert faulty(name).assign(Q, K, V)[2] is (Q, K, V)[role]


def test_where_queries_keys_and_values_come_from():
    for name, sources in (("context_ignored", "xxx"), ("context_as_query", "cxx")):
        x, context = draw(1), draw(2)
        assert faulty(name).source(x, context) == tuple(x if source == "x" else context for source in sources)


def test_the_order_of_the_chunks():
    factors: Linears = {role: _times(n) for n, role in enumerate(("query", "key", "value", "output"), start=2)}
    project = faulty("chunk_order_wrong").project
    found = [project(torch.ones(1), role, factors).item() for role in ("query", "key", "value", "output")]
    assert found == [4, 2, 3, 5]  # the query is what the matrix of the value made, and so on


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * factor


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("weights_transposed", matrix([3 / 4 * 10 + 1 / 2 * 20], [1 / 4 * 10 + 1 / 2 * 20])),
        ("weights_ignored", matrix([15.0], [15.0])),
        ("value_returned", matrix([10.0], [20.0])),
        ("output_zero", matrix([0.0], [0.0])),
    ],
)
def test_the_output(name: str, output: Tensor):
    weights, value = matrix([3 / 4, 1 / 4], [1 / 2, 1 / 2]), matrix([10.0], [20.0])
    found = faulty(name).mechanism.combine(weights, given(value, value, value))
    assert close(found, output)


def test_the_query_is_added():
    three = draw(3, 4), draw(5, 4, seed=1), draw(5, 4, seed=2)
    assert close(run(find_fault("residual_added"), *three)[0], run_usual(*three)[0] + three[0])


def test_values_cannot_stand_for_another_number_of_outputs():
    with pytest.raises(ShapeError, match="5 values cannot stand for 3 outputs"):
        run(find_fault("value_returned"), draw(3, 4), draw(5, 4), draw(5, 4))


def test_what_is_returned():
    three, allowed = (draw(3, 4), draw(5, 4, seed=1), draw(5, 2, seed=2)), causal_mask(3, 5).dense()
    steps = Circuit().steps(given(*three, allowed=allowed))
    output, weights = run(find_fault("scores_returned"), *three, allowed=allowed)
    assert torch.equal(output, steps.output)
    assert torch.equal(weights, steps.scaled)
    output, weights = run(find_fault("weights_before_mask_returned"), *three, allowed=allowed)
    assert torch.equal(output, steps.output)
    assert close(weights, torch.softmax(steps.scaled, -1))
    assert torch.equal(run(find_fault("returns_swapped"), *three, allowed=allowed)[0], steps.weights)
    output, weights = run(find_fault("scores_combined"), *three)
    assert close(output, steps.scaled @ three[2])
    assert close(weights, run_usual(*three)[1])
