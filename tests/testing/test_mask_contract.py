"""Masks made of sizes: causal and reverse, in every form that people use."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attention_surgeon as surgeon
from attention_surgeon.diagnose import diagnose
from attention_surgeon.testing import make_contract
from tests.testing.targets import causal_mask_with, names_of, reverse_mask_with

INFINITE = float("inf")


def lower(n: int) -> Tensor:
    return torch.ones(n, n).tril()


def with_batch(n: int, device: str) -> Tensor:
    return lower(n).view(1, 1, n, n).to(device)


def with_offset(n: int, offset: int = 0) -> Tensor:
    return torch.ones(n, n + offset).tril(offset)


def as_lists(n: int) -> list[list[int]]:
    return [[int(j <= i) for j in range(n)] for i in range(n)]


def from_the_start(n_q: int, n_k: int) -> Tensor:
    return torch.ones(n_q, n_k).tril() > 0


RIGHT: list[tuple[str, dict[str, Any], Callable[..., Any]]] = [
    ("causal_mask", {}, surgeon.create_causal_mask),
    ("causal_mask", {}, surgeon.causal_mask),
    ("causal_mask", {}, lower),
    ("causal_mask", {}, with_batch),
    ("causal_mask", {}, with_offset),
    ("causal_mask", {}, as_lists),
    ("causal_mask", {}, lambda n: np.tri(n)),
    ("causal_mask", {}, lambda n: np.where(np.tri(n), 0.0, -1e4)),
    ("causal_mask", {}, lambda n: lower(n).log()),
    ("causal_mask", {}, lambda *sizes: torch.ones(sizes[0], sizes[-1]).tril(sizes[-1] - sizes[0])),
    ("causal_mask", {"align": "start"}, from_the_start),
    ("causal_mask", {"align": "start"}, np.tri),
    ("causal_mask", {"mask": "hide"}, lambda n: lower(n) == 0),
    ("causal_mask", {"mask": "additive"}, lambda n: (1 - lower(n)) * -1e9),
    ("reverse_mask", {}, surgeon.create_reverse_mask),
    ("reverse_mask", {}, surgeon.reverse_mask),
    ("reverse_mask", {}, lambda n: lower(n).T),
    ("reverse_mask", {"mask": "hide"}, lambda n: lower(n).triu(1) + lower(n).tril(-1)),
]


@pytest.mark.parametrize(("contract", "options", "target"), RIGHT)
def test_right_ones_pass(contract: str, options: dict[str, Any], target: Callable[..., Any]):
    found = diagnose(target, make_contract(contract, **options))
    assert (found.verdict, found.names, found.reason) == ("right", (), "")


@pytest.mark.parametrize("name", names_of("mask"))
def test_every_fault_of_a_causal_mask_is_named(name: str):
    align = "start" if name == "causal_aligned_at_end" else "end"
    target = causal_mask_with(name)
    found = diagnose(target, make_contract("causal_mask", mask="additive", align=align))
    assert found.verdict == "wrong"
    assert found.names_all(name)
    assert found.ties == ((("causal_reversed",), ("mask_transposed",)) if name in SAME_FOR_SQUARES else ())
    assert found.counterexample is not None


SAME_FOR_SQUARES = ("mask_transposed",)
"""For n_q = n_k the transpose of a causal mask is the reverse one, and where it is transposed there are no others."""


@pytest.mark.parametrize("name", [name for name in names_of("mask") if not name.startswith("causal_")])
def test_every_fault_of_a_reverse_mask_is_named_alone(name: str):
    found = diagnose(reverse_mask_with(name), make_contract("reverse_mask", mask="additive"))
    assert (found.verdict, found.names, found.ties) == ("wrong", (name,), ())


WRONG: list[tuple[str, dict[str, Any], Callable[..., Any], str]] = [
    ("causal_mask", {}, lambda n: torch.ones(n, n).triu(), "causal_reversed"),
    ("causal_mask", {}, lambda n: torch.ones(n, n).triu(1), "mask_inverted"),
    ("causal_mask", {"mask": "hide"}, lower, "mask_inverted"),
    ("causal_mask", {"mask": "additive"}, lower, "mask_added_as_zero_one"),
    ("causal_mask", {}, lambda n: lower(n).tril(-1), "mask_diagonal_hidden"),
    ("causal_mask", {}, lambda n: torch.ones(n, n).tril(1), "mask_off_by_one"),
    ("causal_mask", {}, lambda n: np.triu(np.full((n, n), -30.0), 1), "mask_fill_too_small"),
    ("causal_mask", {}, lambda n: (1 - lower(n)) * 1e5, "mask_fill_positive"),
    ("causal_mask", {}, lambda n: (1 - lower(n)) * -INFINITE, "mask_times_infinity"),
    ("causal_mask", {}, lambda n: torch.ones(1, 1, n, n, dtype=torch.bool), "causal_missing"),
    ("causal_mask", {}, lambda n: torch.zeros(n, n), "causal_missing"),
    ("causal_mask", {}, from_the_start, "causal_aligned_at_start"),
    ("causal_mask", {}, np.tri, "causal_aligned_at_start"),
    ("causal_mask", {"align": "start"}, surgeon.causal_mask, "causal_aligned_at_end"),
    ("reverse_mask", {}, lower, "mask_transposed"),
    ("reverse_mask", {}, lambda n: torch.ones(n, n).triu(-1), "mask_off_by_one"),
    ("reverse_mask", {}, lambda n: torch.ones(n, n).triu(1), "mask_diagonal_hidden"),
]


@pytest.mark.parametrize(("contract", "options", "target", "name"), WRONG)
def test_wrong_ones_written_by_hand_are_named(
    contract: str, options: dict[str, Any], target: Callable[..., Any], name: str
):
    found = diagnose(target, make_contract(contract, **options))
    assert found.verdict == "wrong"
    assert found.names == (name,)


def test_how_the_mask_was_read_is_said_where_it_may_be_the_whole_mistake():
    found = diagnose(lambda n: torch.ones(n, n).triu(1), "causal_mask")
    assert [seen.evidence for seen in found.behaviour] == [
        "its mask was read as True (or 1) = may attend; declare mask='hide' if True hides"
    ]
    assert not diagnose(lower, "causal_mask").behaviour
    assert not diagnose(lower, make_contract("causal_mask", mask="hide")).behaviour


def test_one_position_alone_does_not_decide_how_a_mask_is_read():
    def additive(n: int) -> Tensor:  # for n = 1 it is a single 0
        return torch.triu(torch.full((n, n), -INFINITE), 1)

    assert diagnose(additive, "causal_mask").verdict == "right"


def test_a_mistake_for_one_size_only_is_seen_but_not_named():
    found = diagnose(lambda n: lower(n) if n != 7 else torch.ones(n, n), "causal_mask")
    assert (found.verdict, found.names) == ("wrong", ())


def test_the_counterexample_is_the_smallest_mask():
    example = diagnose(lambda n: torch.ones(n, n).tril(1), "causal_mask").counterexample
    assert example is not None
    assert example.inputs == "n = 2"
    assert example.expected.tolist() == [[0, -INFINITE], [0, 0]]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (3, "it is a int, expected a function that makes a mask."),
        (lambda: lower(3), "it takes no size, expected f(n) or f(n_q, n_k)."),
        (lambda n, k, window: lower(n), "it needs the argument 'window', whose meaning the contract does not know."),
        (lambda n: None, "it gives no mask; with n = 5 it raises TypeError: it returned NoneType, expected a tensor"),
        (lambda n: 1 / 0, "it gives no mask; with n = 5 it raises ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_judged_says_why(target: Any, reason: str):
    found = diagnose(target, "causal_mask")
    assert found.verdict == "unjudged"
    assert found.reason.startswith(reason)
