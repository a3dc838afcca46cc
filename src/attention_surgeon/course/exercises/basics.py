"""Problem 2: reading a map of weights, and what attention knows of order. Lab 1: how far apart two heads are."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.course.exercises.function_check import FunctionCheck, known
from attention_surgeon.ops import attention
from attention_surgeon.testing.draw import generator, numbers

_SENTENCE = ("the", "cat", "sat", "on", "a", "mat")


def check_strongest_pair(function: Callable[..., Any]) -> None:
    """Judge `strongest_pair(weights, tokens) -> (from, to, weight)`.

    Raises:
        ExplainedError: it does not find the largest weight, or takes keys for queries.
    """
    __tracebackhide__ = True
    STRONGEST_PAIR(function)


def check_shuffling_gap(function: Callable[..., Any]) -> None:
    """Judge `shuffling_gap(attention, x, order) -> number`.

    Raises:
        ExplainedError: it compares something else.
    """
    __tracebackhide__ = True
    SHUFFLING_GAP(function)


def _strongest(weights: Tensor, tokens: Sequence[str]) -> tuple[str, str, Tensor]:
    row, column = divmod(int(weights.argmax()), weights.shape[-1])
    return tokens[row], tokens[column], weights[row, column]


def _strongest_in_first_row(weights: Tensor, tokens: Sequence[str]) -> tuple[str, str, Tensor]:
    column = int(weights[0].argmax())
    return tokens[0], tokens[column], weights[0, column]


def _swapped(weights: Tensor, tokens: Sequence[str]) -> tuple[str, str, Tensor]:
    row, column, weight = _strongest(weights, tokens)
    return column, row, weight


def _places(weights: Tensor, tokens: Sequence[str]) -> tuple[int, int, Tensor]:
    row, column = divmod(int(weights.argmax()), weights.shape[-1])
    return row, column, weights[row, column]


def _pair_probe(seed: int, n: int) -> tuple[Tensor, list[str]]:
    weights = torch.softmax(numbers(generator(seed), n, n).float(), dim=-1)
    return weights, list(_SENTENCE[:n])


STRONGEST_PAIR = FunctionCheck(
    right=_strongest,
    probes=[_pair_probe(1, 6), _pair_probe(2, 5), _pair_probe(6, 4)],
    names=("from token", "to token", "weight"),
    mistakes=[
        known(
            "from_and_to_swapped", _swapped, "You give the key first and the query second.",
            "In `weights[i, j]`, which of the two asks?",
            "The row is the token that attends (from), the column the one that is attended to (to).",
            "return tokens[row], tokens[column], weight",
        ),
        known(
            "places_not_tokens", _places, "You return places, not tokens.", "What does a reader make of the number 3?",
            "The places are right; look the words up in `tokens`.", "tokens[row], tokens[column]",
        ),
        known(
            "first_row_only", _strongest_in_first_row, "You look at the first query only.",
            "How many rows does the matrix have?", "`argmax()` without `dim` looks at all cells.",
            "row, column = divmod(int(weights.argmax()), len(tokens))",
        ),
    ],
)  # fmt: skip


def _attend(x: Tensor) -> Tensor:
    return attention(x, x, x)[0]


def _attend_with_positions(x: Tensor) -> Tensor:
    places = torch.arange(x.shape[-2]).to(x.dtype)[:, None]
    return _attend(x + torch.sin(places))


Attend = Callable[[Tensor], Tensor]


def _gap(attend: Attend, x: Tensor, order: Tensor) -> Tensor:
    return (attend(x[:, order]) - attend(x)[:, order]).abs().max()


def _mean_gap(attend: Attend, x: Tensor, order: Tensor) -> Tensor:
    return (attend(x[:, order]) - attend(x)[:, order]).abs().mean()


def _gap_in_place(attend: Attend, x: Tensor, order: Tensor) -> Tensor:
    return (attend(x[:, order]) - attend(x)).abs().max()


def _gap_without_sign(attend: Attend, x: Tensor, order: Tensor) -> Tensor:
    return (attend(x[:, order]) - attend(x)[:, order]).max()


def _gap_shuffled_back(attend: Attend, x: Tensor, order: Tensor) -> Tensor:
    return (attend(x[:, order]) - attend(x)[:, order.argsort()]).abs().max()


def _shuffling_probe(attend: Attend, seed: int, n: int) -> tuple[Attend, Tensor, Tensor]:
    source = generator(seed)
    return attend, numbers(source, 2, n, 3).float(), torch.randperm(n, generator=source)


SHUFFLING_GAP = FunctionCheck(
    right=_gap,
    probes=[_shuffling_probe(_attend, 5, 7), *(_shuffling_probe(_attend_with_positions, seed, 5) for seed in range(4))],
    names=("gap",),
    mistakes=[
        known(
            "compared_in_place", _gap_in_place, "You compare each place with what stood there before the shuffle.",
            "Token 4 moved to place 0. Where did its output go?",
            "Shuffle the outputs of the unshuffled call in the same order before you compare.",
            "difference = attention(x[:, order]) - attention(x)[:, order]",
        ),
        known(
            "shuffled_back", _gap_shuffled_back, "You shuffle the outputs in the opposite order.",
            "Does `order[i]` say where token i goes, or who comes to place i?",
            "Use the same `order` on both sides.", "attention(x)[:, order]",
        ),
        known(
            "sign_counts", _gap_without_sign, "Differences below zero do not count in your result.",
            "Which of +0.1 and -0.5 is the larger difference?", "Take the absolute value before the maximum.",
            "difference.abs().max()",
        ),
        known(
            "mean_not_largest", _mean_gap, "You return the mean difference, not the largest one.",
            "One output is wrong by 1, a hundred are right: what should the answer be?",
            "Take the maximum over everything.", "difference.abs().max()",
        ),
    ],
)  # fmt: skip


def check_head_distances(function: Callable[..., Any]) -> None:
    """Judge `head_distances(weights)`, `(heads, n, n) -> (heads, heads)`, 0 for alike, 1 for no key in common.

    Raises:
        ExplainedError: the numbers are others.
    """
    __tracebackhide__ = True
    HEAD_DISTANCES(function)


def _differences(weights: Tensor) -> Tensor:
    return weights[:, None] - weights[None]  # (h, 1, n, n) - (1, h, n, n) -> (h, h, n, n)


def _distances(weights: Tensor) -> Tensor:
    return _differences(weights).abs().sum(-1).mean(-1) / 2


def _weights(seed: int, *shape: int) -> Tensor:
    return torch.softmax(2 * numbers(generator(seed), *shape).float(), dim=-1)


HEAD_DISTANCES = FunctionCheck(
    right=_distances,
    probes=[
        (_weights(1, 3, 7, 7),),
        (_weights(2, 2, 5, 5),),
        (torch.stack([torch.eye(5), torch.eye(5).roll(1, 0)]),),
    ],
    names=("distances",),
    mistakes=[
        known(
            "not_halved", lambda w: 2 * _distances(w), "Your distances go up to 2.",
            "Two queries with no key in common: what is moved from where to where, and how often do you count it?",
            "All weight that is missing in one place is found in another; take half of the sum.", "... / 2",
        ),
        known(
            "signs_cancel", lambda w: _differences(w).sum(-1).mean(-1) / 2, "Your distances are all 0.",
            "Both rows sum to 1. What is the sum of their difference?", "Take absolute values before you add up.",
            "(a - b).abs().sum(-1)",
        ),
        known(
            "mean_over_keys", lambda w: _differences(w).abs().mean((-2, -1)) / 2,
            "Your distances shrink as the text grows.",
            "With a hundred keys in place of five, should heads that share none be any closer?",
            "Add up over the keys, average over the queries.", "difference.abs().sum(-1).mean(-1) / 2",
        ),
        known(
            "summed_over_queries", lambda w: _differences(w).abs().sum((-2, -1)) / 2,
            "Your distances grow with the length of the text.",
            "Each query gives a distance between 0 and 1. What should all queries together give?",
            "Add up over the keys, average over the queries.", "difference.abs().sum(-1).mean(-1) / 2",
        ),
    ],
)  # fmt: skip
