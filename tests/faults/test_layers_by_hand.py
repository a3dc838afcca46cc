"""Heads, projections, dropout and statistics, worked out with a pencil."""

import math

import pytest
import torch
from torch import Tensor, nn

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults import find_fault
from attention_surgeon.ops import Circuit, Linears
from tests.faults.probes import Layer, close, draw, faulty, matrix, run, run_usual

NAN = math.nan


X = torch.arange(12, dtype=torch.float64).reshape(1, 2, 6)
"""Two positions, 0 to 5 and 6 to 11."""


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("heads_split_by_view", [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]),
        ("heads_strided", [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]),
        ("heads_not_split", [[[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]]),
        ("attends_over_heads", [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]),
        ("attends_over_batch", [[[[0, 1]], [[2, 3]], [[4, 5]]], [[[6, 7]], [[8, 9]], [[10, 11]]]]),
    ],
)
def test_how_heads_are_cut(name: str, split: list):
    found = faulty(name).split(X, 3)
    assert found.tolist() == (split if name == "attends_over_batch" else [split])


@pytest.mark.parametrize(
    ("name", "merged"),
    [
        ("heads_merged_without_transpose", [[0, 1, 6, 7, 2, 3], [8, 9, 4, 5, 10, 11]]),
        ("heads_reversed", [[4, 5, 2, 3, 0, 1], [10, 11, 8, 9, 6, 7]]),
        ("first_head_only", [[0, 1, 0, 1, 0, 1], [6, 7, 6, 7, 6, 7]]),
        ("head_outputs_averaged", [[2, 3, 2, 3, 2, 3], [8, 9, 8, 9, 8, 9]]),
    ],
)
def test_how_heads_are_put_together(name: str, merged: list[list[float]]):
    usual = Circuit()
    assert faulty(name, usual).merge(usual.split(X, 3)).tolist() == [merged]


@pytest.mark.parametrize("name", ["heads_strided", "heads_not_split", "attends_over_heads", "attends_over_batch"])
def test_what_is_cut_otherwise_is_put_together_accordingly(name: str):
    circuit = faulty(name)
    assert torch.equal(circuit.merge(circuit.split(X, 3)), X)


def test_how_heads_are_shared():
    shared = torch.tensor([[[1]], [[2]]])
    assert faulty("heads_tiled").share(shared, 4).flatten().tolist() == [1, 2, 1, 2]
    assert faulty("attends_over_heads").share(shared.reshape(1, 2, 1), 4).flatten().tolist() == [1, 1, 2, 2]
    assert faulty("heads_not_split").share(shared, 4) is shared


def test_averaged_heads_have_the_same_weights():
    three = draw(2, 3, 5, 4), draw(2, 3, 7, 4, seed=1), draw(2, 3, 7, 4, seed=2)
    weights = run(find_fault("heads_averaged"), *three)[1]
    assert close(weights, run_usual(*three)[1].mean(1, keepdim=True))
    with pytest.raises(ShapeError, match=r"scores have shape \(5, 7\), without an axis of heads"):
        run(find_fault("heads_averaged"), *(tensor[0, 0] for tensor in three))


ROLES = ("query", "key", "value", "output")


def projected(name: str) -> dict[str, Tensor]:
    """Return what each role's projection makes of the input."""
    layer, project = Layer(3, 3), faulty(name).project
    return {role: project(layer.x, role, layer.linears) for role in ROLES}


def linear(role: str) -> nn.Linear:
    found = Layer(3, 3).linears[role]
    assert isinstance(found, nn.Linear)
    return found


def test_how_the_input_is_projected():
    x = Layer(3, 3).x
    dropped, no_output_bias = projected("bias_dropped"), projected("output_bias_dropped")
    transposed, shared = projected("projection_transposed"), projected("projection_shared")
    for role in ROLES:
        weight, bias = linear(role).weight, linear(role).bias
        assert close(dropped[role], x @ weight.T + (bias if role == "output" else 0))
        assert close(no_output_bias[role], x @ weight.T + (0 if role == "output" else bias))
        assert close(transposed[role], x @ weight + bias)
        assert close(shared[role], linear("output" if role == "output" else "query")(x))
    assert torch.equal(projected("output_projection_missing")["output"], x)


def test_a_projection_that_is_not_there_stays_so():
    nothing: Linears = {**Layer(3, 3).linears, "output": nn.Identity()}
    for name in ("output_bias_dropped", "projection_transposed"):
        assert torch.equal(faulty(name).project(X, "output", nothing), X)


def test_a_layer_that_adds_its_input():
    layer = Layer(3, 3)
    assert close(layer(faulty("residual_added_to_layer")), layer(Circuit()) + layer.x)


def test_dropped_weights():
    three = torch.zeros(40, 1, dtype=torch.float64), torch.zeros(50, 1, dtype=torch.float64), draw(50, 1)
    torch.manual_seed(0)
    dropped, cut = run(find_fault("dropout_in_eval"), *three)[1], run(find_fault("dropout_not_rescaled"), *three)[1]
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 45])
    assert cut.unique().tolist() == pytest.approx([0, 1 / 50])
    for weights in (dropped, cut):
        assert 0.05 < (weights == 0).double().mean() < 0.15


WEIGHTS = matrix([1.0, 0.0, 0.0], [0.5, 0.25, 0.25])
"""Two queries, three keys: the own ones are the second and the third."""


@pytest.mark.parametrize(
    ("name", "measure", "expected"),
    [
        ("entropy_negated", "entropy", -0.75 * math.log(2)),
        ("entropy_in_bits", "entropy", 0.75),
        ("entropy_nan_at_zero", "entropy", NAN),
        ("entropy_summed", "entropy", 1.5 * math.log(2)),
        ("entropy_over_queries", "entropy", 0.5 * math.log(2)),
        ("diagonal_summed", "diagonal_mass", 0.25),
        ("max_of_means", "max_attention", 0.75),
    ],
)
def test_the_statistics(name: str, measure: str, expected: float):
    found, usual = faulty(name).measure(WEIGHTS), Circuit().measure(WEIGHTS)
    assert found[measure].item() == pytest.approx(expected, nan_ok=True)
    assert {other: found[other] for other in found if other != measure} == {
        other: usual[other] for other in usual if other != measure
    }
