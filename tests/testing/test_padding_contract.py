"""Padding masks, from lengths and from tokens."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attention_surgeon as surgeon
from attention_surgeon.diagnose import diagnose
from attention_surgeon.faults import find_fault
from attention_surgeon.testing import make_contract
from tests.testing.targets import names_of, padding_mask_with, wrap

INFINITE = float("inf")


def below(lengths: Tensor, n: int) -> Tensor:
    return torch.arange(n) < lengths[:, None]


def no_more_places_than_needed(lengths: Tensor) -> Tensor:
    return below(lengths, int(lengths.max()))


def with_a_fixed_token(tokens: Tensor) -> Tensor:
    return tokens != 0


def row_by_row(lengths: np.ndarray, n: int) -> list[list[bool]]:
    return [[bool(place < length) for place in range(n)] for length in lengths]


def spread_over_queries(tokens: Tensor, pad_id: int) -> Tensor:
    return (tokens != pad_id)[:, None, None, :].expand(-1, 1, tokens.shape[1], -1)


def over_rows_and_columns(tokens: Tensor, pad_id: int) -> Tensor:
    is_token = tokens != pad_id
    return is_token[:, :, None] & is_token[:, None, :]


RIGHT: list[tuple[dict[str, Any], Callable[..., Any]]] = [
    ({}, below),
    ({}, surgeon.padding_mask),
    ({}, no_more_places_than_needed),
    ({}, row_by_row),
    ({}, lambda lengths, n: np.arange(n) < np.asarray(lengths)[:, None, None]),
    ({}, lambda lengths, n: torch.where(below(lengths, n)[:, None, None], 0.0, -1e9)),
    ({"mask": "hide"}, lambda lengths, n: ~below(lengths, n)),
    ({"mask": "additive"}, lambda lengths, n: (1 - below(lengths, n).float()) * -1e4),
    ({"source": "tokens"}, lambda tokens, pad_id: (tokens != pad_id).int()),
    ({"source": "tokens"}, lambda tokens, pad_id=0: (tokens != pad_id).unsqueeze(1)),
    ({}, lambda lengths, n: np.arange(n) < lengths.astype(np.int32)[:, np.newaxis]),
    ({"source": "tokens"}, with_a_fixed_token),
    ({"source": "tokens"}, spread_over_queries),
    ({"source": "tokens"}, over_rows_and_columns),
]


@pytest.mark.parametrize(("options", "target"), RIGHT)
def test_right_ones_pass(options: dict[str, Any], target: Callable[..., Any]):
    found = diagnose(target, make_contract("padding_mask", **options))
    assert (found.verdict, found.names, found.reason) == ("right", (), "")


@pytest.mark.parametrize("name", [name for name in names_of("padding")])
def test_every_fault_of_a_circuit_is_named_alone(name: str):
    found = diagnose(padding_mask_with(name), make_contract("padding_mask", mask="additive"))
    assert (found.verdict, found.names, found.ties) == ("wrong", (name,), ())
    assert found.counterexample is not None


def test_a_mask_that_is_remembered_is_named():
    found = diagnose(wrap(find_fault("shares_state"), padding_mask_with()), "padding_mask")
    assert (found.verdict, found.names) == ("wrong", ("shares_state",))


def first_only(lengths: Tensor, n: int) -> Tensor:
    return below(lengths[:1], n).repeat(len(lengths), 1)


def eats_tokens(tokens: Tensor, pad_id: int) -> Tensor:
    tokens -= pad_id
    return tokens != 0


WRONG: list[tuple[dict[str, Any], Callable[..., Any], tuple[str, ...]]] = [
    ({}, lambda lengths, n: torch.arange(n) <= lengths[:, None], ("padding_off_by_one",)),
    ({}, lambda lengths, n: torch.arange(1, n + 1) < lengths[:, None], ("padding_off_by_one",)),
    ({}, lambda lengths, n: ~below(lengths, n), ("padding_inverted",)),
    ({"mask": "hide"}, below, ("padding_inverted",)),
    ({"mask": "additive"}, below, ("mask_added_as_zero_one",)),
    ({}, lambda lengths, n: below(lengths, n)[:, :, None], ("mask_hides_queries",)),
    ({}, first_only, ("mask_first_only",)),
    ({}, lambda lengths, n: torch.ones(len(lengths), 1, 1, n), ("mask_ignored",)),
    ({}, lambda lengths, n: torch.where(below(lengths, n), 0.0, -5.0), ("mask_fill_too_small",)),
    ({}, lambda lengths, n: (1 - below(lengths, n).float()) * -INFINITE, ("mask_times_infinity",)),
    ({"source": "tokens"}, lambda tokens, pad_id: tokens == pad_id, ("padding_inverted",)),
    ({"source": "tokens"}, eats_tokens, ("mutates_inputs",)),
    ({"source": "tokens"}, lambda tokens, pad_id: tokens != 0, ()),
    ({}, lambda lengths, n: below(lengths, int(lengths.max())), ()),
]


@pytest.mark.parametrize(("options", "target", "names"), WRONG)
def test_wrong_ones_written_by_hand_are_named(
    options: dict[str, Any], target: Callable[..., Any], names: tuple[str, ...]
):
    found = diagnose(target, make_contract("padding_mask", **options))
    assert (found.verdict, found.names) == ("wrong", names)


def test_the_counterexample_can_be_pasted():
    example = diagnose(lambda tokens, pad_id: tokens == pad_id, make_contract("padding_mask", source="tokens"))
    assert example.counterexample is not None
    given: dict[str, Any] = {"torch": torch}
    exec(example.counterexample.inputs, given)
    assert given["pad_id"] == 0
    assert given["tokens"].shape == (1, 2)
    assert (given["tokens"] == 0).tolist() == [[False, True]]
    assert example.counterexample.expected.tolist() == [[0, -INFINITE], [0, -INFINITE]]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (3, "it is a int, expected a function that makes a mask."),
        (lambda a, b, c: a, "it needs the argument 'c', whose meaning the contract does not know."),
        (lambda lengths, n: None, "it gives no mask; with ragged: lengths [4, 7, 2], n = 7 it raises TypeError: it re"),
    ],
)
def test_what_cannot_be_judged_says_why(target: Any, reason: str):
    found = diagnose(target, "padding_mask")
    assert found.verdict == "unjudged"
    assert found.reason.startswith(reason)
