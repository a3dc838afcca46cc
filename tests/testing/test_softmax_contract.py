"""A softmax: the right ones pass, in any style; every fault of the family is named; what cannot be called is said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attention_surgeon import ops
from attention_surgeon.diagnose import diagnose
from attention_surgeon.faults import find_fault
from attention_surgeon.testing.softmax_contract import softmax_cases
from tests.testing.targets import names_of, softmax_with, wrap, wrapped_names_of


def of_rows_only(x: np.ndarray) -> np.ndarray:
    rows, columns = x.shape
    weights = np.zeros((rows, columns))
    for i in range(rows):
        e = np.exp(x[i] - x[i].max())
        weights[i] = e / e.sum()
    return weights


def of_a_vector(x: Any) -> list[float]:
    top = max(x)
    e = [2.718281828459045 ** float(score - top) for score in x]
    return [number / sum(e) for number in e]


def of_heads_only(x: Tensor) -> Tensor:
    _batch, _heads, _queries, _keys = x.shape
    return x.softmax(3)


class Softmax:
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: Tensor) -> Tensor:
        return x.softmax(self.dim)


RIGHT: list[Callable[..., Any]] = [
    ops.softmax,
    torch.softmax,
    torch.nn.functional.softmax,
    nn.Softmax(dim=-1),
    nn.Softmax,
    Softmax,
    Softmax(-1),
    of_rows_only,
    of_a_vector,
    of_heads_only,
    lambda x, /, axis: torch.softmax(x, axis),
    lambda x: (x - x.logsumexp(-1, keepdim=True)).exp(),
    lambda x, *_args, **_kwargs: x.softmax(-1),
    lambda x: {"weights": x.softmax(-1)},
]


@pytest.mark.parametrize("target", RIGHT)
def test_right_ones_pass(target: Callable[..., Any]):
    found = diagnose(target, "softmax")
    assert (found.verdict, found.names, found.reason) == ("right", (), "")


def test_numbers_in_lists_have_no_dtype_and_no_gradient():
    assert not diagnose(of_a_vector, "softmax").behaviour


@pytest.mark.parametrize("name", names_of("softmax"))
def test_every_fault_of_a_circuit_is_named_alone(name: str):
    found = diagnose(softmax_with(name), "softmax")
    assert (found.verdict, found.names, found.ties) == ("wrong", (name,), ())
    assert (found.counterexample is None) == (name == "cuts_gradient")


@pytest.mark.parametrize("name", wrapped_names_of("softmax"))
def test_every_fault_of_behaviour_is_named_alone(name: str):
    found = diagnose(wrap(find_fault(name), softmax_with()), "softmax")
    assert (found.verdict, found.names) == ("wrong", (name,))


def test_two_faults_at_once_are_both_named():
    found = diagnose(softmax_with("softmax_over_queries", "softmax_twice"), "softmax")
    assert found.names_all("softmax_over_queries", "softmax_twice")
    assert diagnose(softmax_with("softmax_base_two", "weights_divided_by_num_keys"), "softmax").names == (
        "softmax_base_two",
        "weights_divided_by_num_keys",
    )


def columns(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def columns_after_rows(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-2, keepdims=True)


def one_at_a_time(x: Tensor) -> Tensor:
    weights = torch.zeros_like(x)
    for index in np.ndindex(*x.shape[:-1]):
        e = [float(score.exp()) for score in x[index]]
        weights[index] = torch.tensor(e) / sum(e)
    return weights


def shifted_by_one_number(x: Tensor) -> Tensor:
    e = torch.exp(x - torch.max(x))
    return e / e.sum(-1, keepdim=True)


def divides_columns(x: Tensor) -> Tensor:
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1)  # right for a vector


def in_place(x: Tensor) -> Tensor:
    x.sub_(x.amax(-1, keepdim=True)).exp_()
    return x.div_(x.sum(-1, keepdim=True))


WRONG: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (columns, ("softmax_over_queries",)),
    (columns_after_rows, ("softmax_over_queries",)),
    (one_at_a_time, ("softmax_no_max_subtraction", "cuts_gradient")),
    (shifted_by_one_number, ("global_max_subtracted",)),
    (divides_columns, ("sum_without_keepdim",)),
    (in_place, ("mutates_inputs",)),
    (lambda x: x.softmax(0), ("softmax_over_batch",)),
    (lambda x: x.detach().softmax(-1), ("cuts_gradient",)),
    (lambda x: x.float().softmax(-1), ("wrong_dtype",)),
    (lambda x: x.softmax(-1).half(), ("wrong_dtype",)),
]


@pytest.mark.parametrize(("target", "names"), WRONG)
def test_wrong_ones_written_by_hand_are_named(target: Callable[..., Any], names: tuple[str, ...]):
    assert diagnose(target, "softmax").names == names


def test_another_axis_than_the_one_asked_for_is_wrong():
    found = diagnose(lambda x, dim=-1: x.softmax(-1), "softmax")
    assert found.verdict == "wrong"
    assert [seen.evidence for seen in found.behaviour] == ["asked for the axis -2 it normalises another"]


def test_what_has_no_name_is_not_guessed():
    found = diagnose(lambda x: x.softmax(-1) + 0.01, "softmax")
    assert (found.verdict, found.names, found.is_recognised) == ("wrong", (), False)
    assert found.counterexample is not None


def test_a_hidden_key_that_gives_nan_is_a_remark():
    def running(x: Tensor) -> Tensor:
        top, total = torch.full_like(x[..., :1], float("-inf")), torch.zeros_like(x[..., :1])
        for part in x.split(1, -1):
            new = torch.maximum(top, part)
            top, total = new, total * (top - new).exp() + (part - new).exp()
        return (x - top).exp() / total

    found = diagnose(running, "softmax")
    assert found.verdict == "right"
    assert [(seen.fault, seen.is_fault) for seen in found.behaviour] == [(None, False)]
    assert not diagnose(torch.softmax, "softmax").behaviour
    assert not diagnose(columns, "softmax").behaviour


def test_numpy_may_widen_but_not_narrow():
    widened = diagnose(lambda x: of_rows_only(x.reshape(-1, x.shape[-1])).reshape(x.shape), "softmax")
    assert (widened.verdict, [seen.fault for seen in widened.behaviour]) == ("right", ["wrong_dtype"])
    narrowed = diagnose(lambda x: np.exp(x - x.max(-1, keepdims=True)).astype(np.float16), "softmax")
    assert "wrong_dtype" in narrowed.names


def test_the_probes_are_the_same_after_targets_that_write_into_them():
    before = [case.scores.clone() for probe in (0, 1) for case in softmax_cases(3, probe)]
    diagnose(in_place, "softmax")
    after = [case.scores for probe in (0, 1) for case in softmax_cases(3, probe)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (3, "it is a int, expected a function or a class whose objects are callable."),
        (lambda: None, "it takes no argument, expected one: x, the scores."),
        (
            lambda x, temperature: x,
            "it needs the argument 'temperature', whose meaning the contract does not know.",
        ),
        (lambda x: 1.5, "it answers no call; with x of three axes it raises TypeError: it returned float, expected a"),
    ],
)
def test_what_cannot_be_judged_says_why(target: Any, reason: str):
    found = diagnose(target, "softmax")
    assert found.verdict == "unjudged"
    assert found.reason.startswith(reason)
