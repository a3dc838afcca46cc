"""What the factor 1/√d_k is for: the same random queries and keys, with it and without it, at growing width.

Queries and keys have independent standard normal entries, so that a score q·k has standard deviation √d_k. Without
the scale the softmax therefore sees ever larger numbers, puts all its weight on one key, and stops answering to its
scores: the Jacobian goes to zero and nothing is learned through it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Result
from attention_surgeon.experiments.scaling_figures import draw_scaling
from attention_surgeon.experiments.scaling_verdict import tell_scaling
from attention_surgeon.experiments.spread import spread
from attention_surgeon.ops import Mechanism, Operands, check_operands, leave_unscaled, softmax_gradient

MECHANISMS = {True: Mechanism(), False: Mechanism(scale=leave_unscaled)}
_PER_CHUNK, _IN_ALL = 2**22, 2**23
"""Numbers in the keys of one chunk of draws, and of all of them: wide vectors and many keys get fewer draws."""


@dataclass(frozen=True)
class ScalingConfig:
    """Settings of the scaling experiment.

    Attributes:
        d_k_values: Widths of query and key.
        num_keys: Keys that each query chooses from; one number, or several to be tried.
        num_draws: Most independent queries, each with keys of its own, per width; very large ones get fewer.
        seed: Seed of the draws; scaled and unscaled see the same ones.
    """

    d_k_values: tuple[int, ...] = (16, 64, 256, 1024)
    num_keys: int | tuple[int, ...] = 4
    num_draws: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        if not self.d_k_values:
            raise OptionError("scaling: d_k_values is empty, expected at least one width, such as [16, 64, 256, 1024].")
        for name, value in (*(("d_k", d_k) for d_k in self.d_k_values), ("num_draws", self.num_draws)):
            _require_at_least(name, value, 1)
        if not self.num_keys_values:
            raise OptionError("scaling: num_keys is empty, expected at least one number of keys, such as 4.")
        for value in self.num_keys_values:
            _require_at_least("num_keys", value, 2)

    @property
    def num_keys_values(self) -> tuple[int, ...]:
        """The numbers of keys to be tried."""
        return self.num_keys if isinstance(self.num_keys, tuple) else (self.num_keys,)


def experiment_scaling_factor(
    d_k_values: Sequence[int] = (16, 64, 256, 1024),
    *,
    num_keys: int | Sequence[int] = 4,
    num_draws: int = 4000,
    seed: int = 0,
) -> Result:
    """Measure saturation, gradients, entropy and output of the softmax with and without 1/√d_k.

    Args:
        d_k_values: Widths of query and key to try.
        num_keys: Keys per query; one number, or several to try.
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
    keys = tuple(num_keys) if isinstance(num_keys, Sequence) else num_keys
    return run(ScalingConfig(tuple(d_k_values), keys, num_draws, seed))


def run(config: ScalingConfig, bench: Bench | None = None) -> Result:
    """Run the experiment.

    Args:
        config: The settings.
        bench: Where to tell progress and to keep finished parts; None: nowhere.

    Returns:
        One record per number of keys, width and mechanism: `num_keys`, `d_k`, `scaled`, `num_draws`, `score_std`
        (standard deviation of what the softmax sees), and, each averaged over the draws, with its median and its
        10th and 90th percentile (`<name>_median`, `_low`, `_high`):

        `mean_max_weight`: the largest weight of a row.
        `entropy_share`: entropy of the row divided by log num_keys; 1 = uniform, 0 = one-hot.
        `score_gradient`: Frobenius norm of the softmax Jacobian: how strongly the weights answer to the scores.
        `query_gradient`, `key_gradient`: length of the gradient of g·output with respect to the query, and to all
            keys, for a random g of length 1 and random values.
        `output_variance`: mean square of the output; a value's is 1.
    """
    bench = Bench() if bench is None else bench
    bench.plan({_row(num_keys): len(config.d_k_values) for num_keys in config.num_keys_values})
    records = []
    for num_keys in config.num_keys_values:
        for done, d_k in enumerate(config.d_k_values, start=1):
            measure = _measuring(d_k, num_keys, config)
            records.extend(bench.part(f"{num_keys} keys, d_k {d_k}", measure))
            bench.tell(_row(num_keys), done, len(config.d_k_values), largest=records[-1]["mean_max_weight"])
    figures = Drawings(lambda: draw_scaling(records))
    return Result("scaling", as_plain(config), tuple(records), tell_scaling(records), figures=figures)


def _row(num_keys: int) -> str:
    return f"{num_keys} keys"


def _measuring(d_k: int, num_keys: int, config: ScalingConfig) -> Callable[[], list[dict[str, float]]]:
    return lambda: list(_measure_width(d_k, num_keys, config))


def _measure_width(d_k: int, num_keys: int, config: ScalingConfig) -> Iterator[dict[str, float | int | bool]]:
    num_draws = max(min(config.num_draws, _IN_ALL // (num_keys * d_k)), 1)
    measured: dict[bool, list[Mapping[str, Tensor]]] = {scaled: [] for scaled in MECHANISMS}
    seeded = torch.Generator().manual_seed(config.seed * 1_000_003 + d_k)
    per_chunk = max(_PER_CHUNK // (num_keys * d_k), 1)
    for start in range(0, num_draws, per_chunk):
        drawn = _draw(min(per_chunk, num_draws - start), num_keys, d_k, seeded)
        for scaled, mechanism in MECHANISMS.items():
            measured[scaled].append(_measure(mechanism, *drawn))
    for scaled, chunks in measured.items():
        whole = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
        score_std = whole.pop("scores").std().item()
        setting = {"num_keys": num_keys, "d_k": d_k, "scaled": scaled, "num_draws": num_draws, "score_std": score_std}
        yield setting | {name: value for measure in whole for name, value in spread(measure, whole[measure]).items()}


def _draw(count: int, num_keys: int, d_k: int, seeded: torch.Generator) -> tuple[Operands, Tensor]:
    """Return queries, keys and values of `count` draws, and for each a direction g of the output, 1 long."""
    query, key, value, direction = (
        torch.randn(count, rows, d_k, generator=seeded) for rows in (1, num_keys, num_keys, 1)
    )
    return check_operands(query, key, value, caller="scaling"), direction / direction.norm(dim=-1, keepdim=True)


def _measure(mechanism: Mechanism, operands: Operands, direction: Tensor) -> dict[str, Tensor]:
    """Return one number for each draw and measure, and all scores."""
    steps = mechanism.steps(operands)
    weights = steps.weights[..., 0, :]  # (draws, 1, keys) -> (draws, keys)
    d_weights = (direction.to(weights.dtype) @ operands.value.mT)[..., 0, :]
    d_scores = softmax_gradient(weights, d_weights)[..., None, :]
    factor = 1 / math.sqrt(operands.key_size) if mechanism == MECHANISMS[True] else 1.0
    entropy = -torch.special.xlogy(weights, weights).sum(-1)
    return {
        "scores": steps.scaled.flatten(),
        "mean_max_weight": weights.amax(-1),
        "entropy_share": entropy / math.log(weights.shape[-1]),
        "score_gradient": _jacobian_norm(weights),
        "query_gradient": factor * (d_scores @ operands.key).norm(dim=(-2, -1)),
        "key_gradient": factor * (d_scores.mT @ operands.query).norm(dim=(-2, -1)),
        "output_variance": steps.output.square().mean((-2, -1)),
    }


def _jacobian_norm(weights: Tensor) -> Tensor:
    """Return the Frobenius norm of `diag(p) - p pᵀ` without writing it out, and without subtracting what is nearly 1.

    Its entries are p_i (1 - p_i) and, beside the diagonal, -p_i p_j. Sorted upwards, what lies below each p_i is a sum.
    """
    p = weights.sort(dim=-1).values
    below, squares_below = (x.cumsum(-1) - x for x in (p, p.square()))
    rest = torch.cat([1 - p[..., :-1], below[..., -1:]], dim=-1)  # 1 - p; of the largest, the sum of the others
    return ((p * rest).square() + 2 * p.square() * squares_below).sum(-1).sqrt()


def _require_at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(f"scaling: {name} is {value!r}, expected a whole number of at least {least}.")
    if value < least:
        raise OptionError(f"scaling: {name} is {value}, expected a whole number of at least {least}.")


EXPERIMENT = Experiment(
    name="scaling",
    question="What happens to the softmax, and to what is learnt through it, without 1/√d_k?",
    config=ScalingConfig,
    run=run,
    full={"num_keys": (4, 8, 64, 512)},
    quick={"num_keys": (4, 8), "num_draws": 200},
    measures=("mean_max_weight", "entropy_share", "score_gradient", "query_gradient", "output_variance"),
    seconds=15,
)
