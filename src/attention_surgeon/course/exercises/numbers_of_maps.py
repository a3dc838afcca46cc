"""Chapter 1, lab 2: what a map of weights says in numbers: entropy, the best keys, sparsity, and two maps compared."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attention_surgeon.course.exercises.function_check import FunctionCheck, known, known_fault
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.verdict import Array

_LOG_2 = float(np.log(2))


def check_entropy(function: Callable[..., Any]) -> None:
    """Judge `compute_attention_entropy(weights)`, `(..., n_q, n_k) -> (..., n_q)` in nats.

    Raises:
        ExplainedError: the numbers are others.
    """
    __tracebackhide__ = True
    ENTROPY(function)


def check_top_keys(function: Callable[..., Any]) -> None:
    """Judge `find_top_k_attended(weights, query_idx, k) -> places (k,)`.

    Raises:
        ExplainedError: they are other places, or stand in another order.
    """
    __tracebackhide__ = True
    TOP_KEYS(function)


def check_sparsity(function: Callable[..., Any]) -> None:
    """Judge `compute_attention_sparsity(weights, threshold) -> number`.

    Raises:
        ExplainedError: it is another number.
    """
    __tracebackhide__ = True
    SPARSITY(function)


def check_comparison(function: Callable[..., Any]) -> None:
    """Judge `compare_attention_patterns(first, second) -> {cosine_similarity, mse, max_diff}`.

    Raises:
        ExplainedError: a number is another, or is missing.
    """
    __tracebackhide__ = True
    COMPARISON(function)


def _map(seed: int, *shape: int, sharpness: float = 2.0) -> Array:
    """Return weights `shape` whose rows sum to 1; no two of a row are alike."""
    scores = sharpness * numbers(generator(seed), *shape).numpy()
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _one_hot() -> Array:
    return np.eye(5)[[1, 3, 4]]


def _entropy(weights: Array) -> Any:
    return -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(-1)


ENTROPY = FunctionCheck(
    right=_entropy,
    probes=[(_map(1, 5, 7),), (_one_hot(),), (_map(2, 2, 3, 5),), (np.full((2, 7), 1 / 7),), (np.ones((1, 1)),)],
    names=("entropy",),
    mistakes=[
        known_fault(
            "entropy_in_bits", lambda w: _entropy(w) / _LOG_2, "Your entropy is in bits, expected nats.",
            "-(weights * np.log(safe)).sum(axis=-1)",
        ),
        known(
            "entropy_of_zero_nan", lambda w: -(w * np.log(w)).sum(-1), "A weight of 0 makes your entropy NaN.",
            "What is 0 times the logarithm of 0 in a computer, and what should it be here?",
            "Put 1 in the place of 0 before the logarithm: log(1) is 0.", "np.log(np.where(weights > 0, weights, 1.0))",
        ),
        known(
            "sign_missing", lambda w: -_entropy(w), "Your entropies are below 0.",
            "Is the logarithm of a weight above or below 0?", "A minus sign is missing.",
            "-(weights * np.log(safe)).sum(axis=-1)",
        ),
        known(
            "one_number_for_all", lambda w: _entropy(w).mean(), "You return one number for all queries.",
            "How many queries are there, and how many numbers do you return?",
            "Sum over the keys only, the last axis.", ".sum(axis=-1)",
        ),
        known(
            "entropy_of_keys", lambda w: -(w * np.log(np.where(w > 0, w, 1.0))).sum(-2),
            "You add up over the queries, not over the keys.", "Along which axis does a row of weights sum to 1?",
            "The keys are the last axis.", ".sum(axis=-1)",
        ),
    ],
)  # fmt: skip


def _top(weights: Array, query_idx: int, k: int = 3) -> Any:
    return np.argsort(-weights[query_idx], kind="stable")[:k]


TOP_KEYS = FunctionCheck(
    right=_top,
    probes=[(_map(3, 5, 7), 1, 3), (_map(4, 3, 5), 2, 5), (_map(5, 7, 3), 0, 1), (np.ones((1, 1)), 0, 1)],
    names=("places",),
    mistakes=[
        known(
            "smallest_first", lambda w, q, k: np.sort(w[q].argsort()[-k:]) if k == 1 else w[q].argsort()[-k:],
            "The largest weight stands last.", "In which direction does argsort sort?", "Turn the order around.",
            "np.argsort(-weights[query_idx])[:k]",
        ),
        known(
            "smallest_taken", lambda w, q, k: w[q].argsort()[:k], "You return the keys with the smallest weights.",
            "In which direction does argsort sort?", "Sort the negative weights.",
            "np.argsort(-weights[query_idx])[:k]",
        ),
        known(
            "column_for_row", lambda w, q, k: np.argsort(-w[:, min(q, w.shape[1] - 1)], kind="stable")[:k],
            "You look along a column: which queries attend to one key.", "Which index of the weights is the query?",
            "The row belongs to the query: weights[query_idx].", "np.argsort(-weights[query_idx])[:k]",
        ),
        known(
            "weights_not_places", lambda w, q, k: -np.sort(-w[q])[:k], "You return the weights, not their places.",
            "What does a reader need to find the word?", "`argsort` gives places, `sort` gives numbers.",
            "np.argsort(-weights[query_idx])[:k]",
        ),
    ],
)  # fmt: skip


def _sparsity(weights: Array, threshold: float = 0.1) -> Any:
    return (weights < threshold).mean()


SPARSITY = FunctionCheck(
    right=_sparsity,
    probes=[(_map(6, 5, 7), 0.1), (_map(7, 2, 3, 11), 0.02), (np.full((1, 2), 0.5), 0.1), (_map(8, 3, 5), 0.3)],
    names=("share",),
    mistakes=[
        known(
            "share_above", lambda w, t: (w >= t).mean(), "You count the weights above the threshold.",
            "Is a map of many small weights sparse or not?", "Count what lies below.", "(weights < threshold).mean()",
        ),
        known(
            "counted_not_shared", lambda w, t: (w < t).sum(), "You return how many they are, not which share.",
            "How should maps of different sizes be compared?", "Divide by the number of all weights: take the mean.",
            "(weights < threshold).mean()",
        ),
        known(
            "in_percent", lambda w, t: 100 * (w < t).mean(), "Your number is in percent, expected a share from 0 to 1.",
            "What is the mean of True and False?", "Leave the factor 100 out.", "(weights < threshold).mean()",
        ),
        known(
            "threshold_ignored", lambda w, t: (w < 0.1).mean(), "You compare with 0.1, whatever the threshold is.",
            "With threshold=0.02, which weights count as small?", "Compare with the argument, not with its default.",
            "(weights < threshold).mean()",
        ),
        known(
            "weight_below", lambda w, t: w[w < t].sum() / w.sum(), "You return how much weight lies below.",
            "Two weights of 0.01: how many are they, and how much?", "Count them; their size does not matter.",
            "(weights < threshold).mean()",
        ),
    ],
)  # fmt: skip


def _compared(first: Array, second: Array) -> dict[str, Any]:
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    difference = first - second
    return {
        "cosine_similarity": ((first * second).sum(-1) / lengths).mean(),
        "mse": (difference**2).mean(),
        "max_diff": np.abs(difference).max(),
    }


def _with(name: str, of: Callable[[Array, Array], Any]) -> Callable[[Array, Array], dict[str, Any]]:
    return lambda first, second: _compared(first, second) | {name: of(first, second)}


def _whole_cosine(first: Array, second: Array) -> Any:
    return (first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second)


COMPARISON = FunctionCheck(
    right=_compared,
    probes=[(_map(9, 5, 7), _map(10, 5, 7)), (_map(11, 3, 5), _map(11, 3, 5)), (np.eye(2), np.eye(2)[::-1])],
    names=("cosine_similarity", "mse", "max_diff"),
    mistakes=[
        known(
            "cosine_of_the_whole", _with("cosine_similarity", _whole_cosine),
            "You take one cosine of the whole maps.", "Which rows belong together, and how many cosines are there?",
            "Take the cosine of each pair of rows, then the mean.", "((first * second).sum(-1) / lengths).mean()",
        ),
        known(
            "lengths_missing", _with("cosine_similarity", lambda a, b: (a * b).sum(-1).mean()),
            "Your cosine is not divided by the lengths of the rows.",
            "What is the cosine of a row with itself?", "Divide by the product of the two lengths.",
            "np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)",
        ),
        known(
            "root_of_mse", _with("mse", lambda a, b: np.sqrt(((a - b) ** 2).mean())),
            "You take the root of the mean of the squares.", "What do the three letters of mse stand for?",
            "Leave the root out.", "(difference**2).mean()",
        ),
        known(
            "squares_summed", _with("mse", lambda a, b: ((a - b) ** 2).sum()), "You add the squares up.",
            "What does the first letter of mse stand for?", "Take the mean.", "(difference**2).mean()",
        ),
        known(
            "max_diff_with_sign", _with("max_diff", lambda a, b: (a - b).max()), "Differences below 0 do not count.",
            "Which of +0.1 and -0.5 is the larger difference?", "Take the absolute value before the maximum.",
            "np.abs(difference).max()",
        ),
    ],
)  # fmt: skip
