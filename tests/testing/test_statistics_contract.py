"""Statistics of weights: four numbers, and what people mean by local."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attention_surgeon.diagnose import diagnose
from attention_surgeon.faults import find_fault
from attention_surgeon.ops import measure_weights
from tests.testing.targets import names_of, statistics_with, wrap, wrapped_names_of


def near(weights: Tensor, window: int) -> Tensor:
    n_q, n_k = weights.shape[-2:]
    return (torch.arange(n_q)[:, None] - torch.arange(n_k)).abs() <= window


def four(weights: Tensor, **others: Any) -> dict[str, Any]:
    """Return the four numbers by the book, some of them replaced."""
    return {
        "max_attention": weights.max().item(),
        "entropy": -torch.xlogy(weights, weights).sum(-1).mean().item(),
        "diagonal_mass": weights.diagonal(dim1=-2, dim2=-1).mean().item(),
        "local_vs_global": (weights * near(weights, 1)).sum().item() / (weights * ~near(weights, 1)).sum().item()
        if (weights * ~near(weights, 1)).sum()
        else math.inf,
        **others,
    }


def in_numpy(weights: np.ndarray) -> dict[str, float]:
    n = len(weights)
    entropies = [-sum(w * math.log(w) for w in row if w > 0) for row in weights]
    local = sum(weights[i, j] for i in range(n) for j in range(n) if abs(i - j) <= 3)
    return {
        "max_attention": float(max(max(row) for row in weights)),
        "entropy": sum(entropies) / n,
        "diagonal_mass": sum(weights[i, i] for i in range(n)) / n,
        "local_vs_global": local / (weights.sum() - local + 1e-12),
    }


def of_heads_only(weights: Tensor) -> dict[str, Any]:
    _heads, _queries, _keys = weights.shape
    return four(weights)


def share_of_all(weights: Tensor) -> float:
    return ((weights * near(weights, 2)).sum() / weights.sum()).item()


def row_by_row(weights: Tensor) -> float:
    local = (weights * near(weights, 2)).sum(-1)
    return (local / (1 - local)).mean().item()


def to_the_others(weights: Tensor) -> Tensor:
    is_near = near(weights, weights.shape[-1] // 4)
    return weights[..., is_near].sum() / weights[..., ~is_near].sum()


def pair_by_pair(weights: Tensor) -> Tensor:
    return weights[near(weights, 1)].mean() / weights[~near(weights, 1)].mean()


RIGHT: list[tuple[Callable[..., Any], list[str]]] = [
    (measure_weights, ["local_vs_global is the weight on keys up to 1 away, to the weight on the others"]),
    (four, ["local_vs_global is the weight on keys up to 1 away, to the weight on the others"]),
    (in_numpy, ["local_vs_global is the weight on keys up to 3 away, to the weight on the others"]),
    (of_heads_only, ["local_vs_global is the weight on keys up to 1 away, to the weight on the others"]),
    (
        lambda w: four(w, diagonal_mass=w.diagonal().mean() * 100),
        [
            "of weights (2, 7, 7) it gives other numbers",
            "diagonal_mass is in percent",
            "local_vs_global is the weight on keys up to 1 away, to the weight on the others",
        ],
    ),
    (
        lambda w: four(w, local_vs_global=share_of_all(w)),
        ["local_vs_global is the weight on keys up to 2 away, to all weight"],
    ),
    (
        lambda w: four(w, local_vs_global=row_by_row(w)),
        ["local_vs_global is the weight on keys up to 2 away, to the weight on the others, averaged over rows"],
    ),
    (
        lambda w: four(w, local_vs_global=pair_by_pair(w)),
        ["local_vs_global is the mean weight of keys up to 1 away, to that of the others"],
    ),
]


@pytest.mark.parametrize(("target", "remarks"), RIGHT)
def test_right_ones_pass_and_it_is_said_what_they_mean(target: Callable[..., Any], remarks: list[str]):
    found = diagnose(target, "statistics")
    assert (found.verdict, found.names, found.reason) == ("right", (), "")
    assert [seen.evidence for seen in found.behaviour] == remarks


def test_a_window_may_grow_with_the_sequence():
    found = diagnose(lambda w: four(w, local_vs_global=to_the_others(w)), "statistics")
    assert found.verdict == "right"
    assert found.behaviour[-1].evidence.startswith("local_vs_global is the weight on keys up to 1/2/4 away")


@pytest.mark.parametrize("name", names_of("statistics"))
def test_every_fault_of_a_circuit_is_named_alone(name: str):
    found = diagnose(statistics_with(name), "statistics")
    assert (found.verdict, found.names, found.ties) == ("wrong", (name,), ())
    assert found.counterexample is not None
    assert found.counterexample.what == {"e": "entropy", "d": "diagonal_mass", "m": "max_attention"}[name[0]]


@pytest.mark.parametrize("name", wrapped_names_of("statistics"))
def test_every_fault_of_behaviour_is_named_alone(name: str):
    found = diagnose(wrap(find_fault(name), statistics_with()), "statistics")
    assert (found.verdict, found.names) == ("wrong", (name,))


@pytest.mark.parametrize(
    "names",
    [
        ("entropy_in_bits", "diagonal_summed"),
        ("entropy_in_bits", "entropy_summed"),
        ("max_of_means", "entropy_negated"),
    ],
)
def test_two_faults_at_once_are_both_named(names: tuple[str, str]):
    found = diagnose(statistics_with(*names), "statistics")
    assert sorted(found.names) == sorted(names)


def bits(w: Tensor) -> float:
    return -sum(float(p) * math.log2(p) for p in w.flatten() if p > 0) / w[..., 0].numel()


def entropy_in_place(w: Tensor) -> float:
    return w.mul_(w.clamp(min=1e-12).log()).sum(-1).mean().neg().item()


WRONG: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (lambda w: four(w, entropy=bits(w)), ("entropy_in_bits",)),
    (lambda w: four(w, entropy=(w * w.clamp(min=1e-12).log()).sum(-1).mean()), ("entropy_negated",)),
    (lambda w: four(w, entropy=-(w * w.log()).sum(-1).mean()), ("entropy_nan_at_zero",)),
    (lambda w: four(w, entropy=torch.special.entr(w).sum()), ("entropy_summed",)),
    (lambda w: four(w, entropy=torch.special.entr(w).sum(0).mean()), ("entropy_over_queries",)),
    (lambda w: four(w, diagonal_mass=torch.trace(w)), ("diagonal_summed",)),
    (lambda w: four(w, max_attention=w.mean(0).max()), ("max_of_means",)),
    (lambda w: four(w, entropy=bits(w), diagonal_mass=w.diagonal().sum()), ("entropy_in_bits", "diagonal_summed")),
    (lambda w: four(w) | {"entropy": entropy_in_place(w)}, ("mutates_inputs",)),
]


@pytest.mark.parametrize(("target", "names"), WRONG)
def test_wrong_ones_written_by_hand_are_named(target: Callable[..., Any], names: tuple[str, ...]):
    found = diagnose(target, "statistics")
    assert (found.verdict, found.names) == ("wrong", names)


def test_a_ratio_that_is_none_is_said_and_the_rest_still_named():
    found = diagnose(lambda w: four(w, entropy=bits(w), local_vs_global=0.123), "statistics")
    assert (found.verdict, found.names) == ("wrong", ("entropy_in_bits",))
    assert found.behaviour[0].evidence == "local_vs_global is no ratio of near to far weight, whatever is near"
    assert diagnose(lambda w: four(w, local_vs_global=0.123), "statistics").verdict == "wrong"


def test_what_is_missing_is_said():
    found = diagnose(lambda w: {name: x for name, x in four(w).items() if name != "entropy"}, "statistics")
    assert (found.verdict, found.names) == ("wrong", ())
    assert found.behaviour[0].evidence == "it returns no 'entropy'"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (3, "it is a int, expected a function of attention weights."),
        (
            lambda w: 0.5,
            "it answers no call; with weights (n, n): TypeError: it returned float, expected a dict with max",
        ),
        (lambda w: {"a": 1}, "it answers no call; with weights (n, n): TypeError: it returned ['a'], expected max_att"),
    ],
)
def test_what_cannot_be_judged_says_why(target: Any, reason: str):
    found = diagnose(target, "statistics")
    assert found.verdict == "unjudged"
    assert found.reason.startswith(reason)
