"""What the factor 1/√d_k is for: the same random queries and keys, with it and without it, at growing width.

Queries and keys have independent standard normal entries, so that a score q·k has standard deviation √d_k. Without
the scale the softmax therefore sees ever larger numbers, puts all its weight on one key, and stops answering to its
scores: the Jacobian goes to zero and nothing is learned through it.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.experiments.result import Result
from attention_surgeon.ops import Mechanism, check_operands, leave_unscaled, softmax_jacobian

MECHANISMS = {True: Mechanism(), False: Mechanism(scale=leave_unscaled)}


@dataclass(frozen=True)
class ScalingConfig:
    """Settings of the scaling experiment.

    Attributes:
        d_k_values: Widths of query and key.
        num_keys: Keys that each query chooses from.
        num_draws: Independent queries, each with keys of its own, per width.
        seed: Seed of the draws; scaled and unscaled see the same ones.
    """

    d_k_values: tuple[int, ...] = (16, 64, 256, 1024)
    num_keys: int = 4
    num_draws: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        if not self.d_k_values:
            raise OptionError("scaling: d_k_values is empty, expected at least one width, such as [16, 64, 256, 1024].")
        for name, value in (*(("d_k", d_k) for d_k in self.d_k_values), ("num_draws", self.num_draws)):
            _require_at_least(name, value, 1)
        _require_at_least("num_keys", self.num_keys, 2)


def experiment_scaling_factor(
    d_k_values: Sequence[int] = (16, 64, 256, 1024), *, num_keys: int = 4, num_draws: int = 4000, seed: int = 0
) -> Result:
    """Measure saturation, gradient and entropy of the softmax with and without 1/√d_k.

    Args:
        d_k_values: Widths of query and key to try.
        num_keys: Keys per query.
        num_draws: Independent draws per width.
        seed: Seed of the draws.

    Returns:
        A `Result`; `run` says what its records hold.

    Raises:
        ArgumentTypeError, OptionError: a width or count that is not a positive whole number.

    >>> result = experiment_scaling_factor([4, 1024], num_draws=500)
    >>> [row["mean_max_weight"] > 0.9 for row in result.records if not row["scaled"]]
    [False, True]
    """
    if isinstance(d_k_values, int | str) or not isinstance(d_k_values, Sequence):
        raise ArgumentTypeError(f"scaling: d_k_values is {d_k_values!r}, expected a list such as [16, 64, 256, 1024].")
    return run(ScalingConfig(tuple(d_k_values), num_keys, num_draws, seed))


def run(config: ScalingConfig, on_width: Callable[[int], None] = lambda d_k: None) -> Result:
    """Run the experiment.

    Args:
        config: The settings.
        on_width: Called with each d_k when it has been measured, for progress bars.

    Returns:
        One record per width and mechanism: `d_k`, `scaled`, `score_std` (standard deviation of what the softmax sees),
        `mean_max_weight` (the largest weight of a row, averaged) with its 10th and 90th percentile
        (`mean_max_weight_low`, `_high`), `entropy_share` (entropy of the row divided by log num_keys; 1 = uniform, 0 =
        one-hot), `score_gradient` (Frobenius norm of the softmax Jacobian, averaged: how strongly the weights answer to
        the scores).
    """
    records = []
    for d_k in config.d_k_values:
        records.extend(_measure_width(d_k, config))
        on_width(d_k)
    return Result("scaling", dataclasses.asdict(config), tuple(records), _verdict(records, config))


def _measure_width(d_k: int, config: ScalingConfig) -> Iterator[dict[str, float | int | bool]]:
    seeded = torch.Generator().manual_seed(config.seed * 1_000_003 + d_k)
    query = torch.randn(config.num_draws, 1, d_k, generator=seeded)
    key = torch.randn(config.num_draws, config.num_keys, d_k, generator=seeded)
    operands = check_operands(query, key, key, caller="scaling")
    for scaled, mechanism in MECHANISMS.items():
        steps = mechanism.steps(operands)
        yield {"d_k": d_k, "scaled": scaled, **_measure(steps.scaled, steps.weights)}


def _measure(scores: Tensor, weights: Tensor) -> dict[str, float]:
    largest = weights.amax(-1)
    entropy = -torch.special.xlogy(weights, weights).sum(-1)
    low, high = torch.quantile(largest, torch.tensor([0.1, 0.9], dtype=largest.dtype)).tolist()
    return {
        "score_std": scores.std().item(),
        "mean_max_weight": largest.mean().item(),
        "mean_max_weight_low": low,
        "mean_max_weight_high": high,
        "entropy_share": (entropy.mean() / math.log(weights.shape[-1])).item(),
        "score_gradient": softmax_jacobian(weights).norm(dim=(-2, -1)).mean().item(),
    }


def _verdict(records: list[dict[str, float | int | bool]], config: ScalingConfig) -> str:
    at = {(row["d_k"], row["scaled"]): row for row in records}
    first, last = min(config.d_k_values), max(config.d_k_values)
    keys = f"with {config.num_keys} keys"
    if first == last:
        plain, scaled = at[first, False], at[first, True]
        return (
            f"At d_k = {first}, {keys}: the largest weight is {plain['mean_max_weight']:.3f} without the scale and "
            f"{scaled['mean_max_weight']:.3f} with 1/√d_k."
        )

    def change(scaled: bool) -> str:
        return f"{at[first, scaled]['mean_max_weight']:.3f} to {at[last, scaled]['mean_max_weight']:.3f}"

    weaker = at[first, False]["score_gradient"] / max(at[last, False]["score_gradient"], 1e-300)
    return (
        f"From d_k = {first} to {last}, {keys}: without the scale the largest weight goes from {change(False)} and the "
        f"softmax answers to its scores {weaker:.1f} times more weakly; with 1/√d_k the largest weight goes from "
        f"{change(True)}."
    )


def _require_at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(f"scaling: {name} is {value!r}, expected a whole number of at least {least}.")
    if value < least:
        raise OptionError(f"scaling: {name} is {value}, expected a whole number of at least {least}.")
