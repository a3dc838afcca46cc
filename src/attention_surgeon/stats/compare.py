"""How far two patterns are apart, head by head."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import DeviceError, ShapeError
from attention_surgeon.stats.checks import require_weights
from attention_surgeon.stats.row_sums import strips_of


@final
@dataclass(frozen=True, eq=False)
class PatternDifference:
    """How far two patterns are apart; every number is defined in `COMPARISONS` under its name.

    Tensors are `(*batch, heads)` in the working precision; NaN where no row counts in both.

    Attributes:
        cosine: 1 for equal ones.
        mse: Mean squared difference of a cell.
        largest_difference: Of any cell.
        total_variation: What part of its attention a row gives to other keys.
        jensen_shannon: In nats, at most log 2.
        num_rows: How many rows counted, int64.
        num_left_out: How many did not because they are empty in one of the two, or in both, int64.
    """

    cosine: Tensor
    mse: Tensor
    largest_difference: Tensor
    total_variation: Tensor
    jensen_shannon: Tensor
    num_rows: Tensor
    num_left_out: Tensor


def compare_patterns(first: Float[Tensor, "*batch q k"], second: Float[Tensor, "*batch q k"]) -> PatternDifference:
    """Return how far the weights of two calls are apart: before and after, layer and layer, ours and another's.

    Args:
        first: `(*batch, heads, n_q, n_k)`, rows that sum to 1 (or are all 0), floating.
        second: Of the same shape; the dtype may be another.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, NonFiniteError, OptionError: no weights, or two that
            cannot be laid over each other.

    >>> import torch
    >>> apart = compare_patterns(torch.eye(2), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    >>> apart.total_variation, apart.largest_difference
    (tensor(0.2500, dtype=torch.float64), tensor(0.5000, dtype=torch.float64))
    """
    require_weights(first, "compare_patterns", "first")
    require_weights(second, "compare_patterns", "second")
    if first.shape != second.shape:
        raise ShapeError(
            f"compare_patterns: first has shape {tuple(first.shape)} and second {tuple(second.shape)}; they must be "
            f"the same, cell by cell."
        )
    if first.device != second.device:
        raise DeviceError(
            f"compare_patterns: first is on {first.device} and second on {second.device}; move it with .to(...)."
        )
    parts = [
        _compare_rows(one.weights, other.weights)
        for one, other in zip(strips_of(first, None), strips_of(second, None), strict=True)
    ]
    sums = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    largest = sums.pop("largest").amax(0)
    return _finish({name: each.sum(0) for name, each in sums.items()}, largest, first.shape)


def _compare_rows(one: Tensor, other: Tensor) -> dict[str, Tensor]:
    """Return sums over the rows that have weight in both."""
    counts = (one.sum(-1) > 0) & (other.sum(-1) > 0)
    one, other = (each.masked_fill(~counts[..., None], 0.0) for each in (one, other))
    apart = (one - other).abs()
    middle = (one + other) / 2
    divergence = torch.special.xlogy(one, one / middle) + torch.special.xlogy(other, other / middle)
    return {
        "rows": counts.sum(-1),
        "products": (one * other).sum((-2, -1)),
        "ones": one.square().sum((-2, -1)),
        "others": other.square().sum((-2, -1)),
        "squares": apart.square().sum((-2, -1)),
        "halves": apart.sum((-2, -1)) / 2,
        "divergence": divergence.nan_to_num().sum((-2, -1)).clamp(min=0.0) / 2,  # 0 / 0 where both are 0
        "largest": apart.amax((-2, -1)),
    }


def _finish(sums: dict[str, Tensor], largest: Tensor, shape: torch.Size) -> PatternDifference:
    num_rows = sums["rows"]
    return PatternDifference(
        cosine=sums["products"] / (sums["ones"].sqrt() * sums["others"].sqrt()),
        mse=sums["squares"] / (num_rows * shape[-1]),
        largest_difference=largest.masked_fill(num_rows == 0, float("nan")),
        total_variation=sums["halves"] / num_rows,
        jensen_shannon=sums["divergence"] / num_rows,
        num_rows=num_rows,
        num_left_out=shape[-2] - num_rows,
    )
