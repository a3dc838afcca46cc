"""Lab 1: how far apart the maps of two heads are."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.testing.exercises.function_check import FunctionCheck, Mistake


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
        Mistake(
            "not_halved", lambda w: 2 * _distances(w), "Your distances go up to 2.",
            "Two queries with no key in common: what is moved from where to where, and how often do you count it?",
            "All weight that is missing in one place is found in another; take half of the sum.", "... / 2",
        ),
        Mistake(
            "signs_cancel", lambda w: _differences(w).sum(-1).mean(-1) / 2, "Your distances are all 0.",
            "Both rows sum to 1. What is the sum of their difference?", "Take absolute values before you add up.",
            "(a - b).abs().sum(-1)",
        ),
        Mistake(
            "mean_over_keys", lambda w: _differences(w).abs().mean((-2, -1)) / 2,
            "Your distances shrink as the text grows.",
            "With a hundred keys in place of five, should heads that share none be any closer?",
            "Add up over the keys, average over the queries.", "difference.abs().sum(-1).mean(-1) / 2",
        ),
        Mistake(
            "summed_over_queries", lambda w: _differences(w).abs().sum((-2, -1)) / 2,
            "Your distances grow with the length of the text.",
            "Each query gives a distance between 0 and 1. What should all queries together give?",
            "Add up over the keys, average over the queries.", "difference.abs().sum(-1).mean(-1) / 2",
        ),
    ],
)  # fmt: skip
