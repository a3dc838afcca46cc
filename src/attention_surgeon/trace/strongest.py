"""The strongest pair of a trace: which query gives the most to which key."""

from typing import NamedTuple

import torch

from attention_surgeon.trace.trace import AttentionTrace


class StrongestPair(NamedTuple):
    """The largest weight and where it is.

    Attributes:
        weight: The weight, as a Python float.
        place: Where it is along `trace.axes`; of several equal weights, the first.
        query_token: The token that gives.
        key_token: The token that receives.
        num_ties: How many *other* cells hold the same weight, to within four rounding steps of the dtype.
    """

    weight: float
    place: tuple[int, ...]
    query_token: str
    key_token: str
    num_ties: int


def find_strongest_pair(trace: AttentionTrace, skip_self: bool = False) -> StrongestPair | None:
    """Return the strongest pair over all leading axes, or None if no weight is above 0 (or all are NaN).

    Args:
        trace: Its weights must have the shape that its axes say.
        skip_self: Leave out the cells where query and key stand at the same position.

    >>> from attention_surgeon.trace import record
    >>> Q, K = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2)
    >>> find_strongest_pair(record(Q, K, K, query_tokens=["a", "b"]))
    StrongestPair(weight=0.80..., place=(0, 0), query_token='a', key_token='a', num_ties=0)
    """
    if tuple(trace.weights.shape) != trace.scores_shape or trace.weights.numel() == 0:
        return None
    weights = trace.weights.masked_fill(~(trace.weights > 0), 0.0)  # NaN is not above 0 either
    if skip_self:
        same = torch.eye(*trace.scores_shape[-2:], dtype=torch.bool)
        weights = weights.masked_fill(same, 0.0)
    largest = weights.max()
    if largest == 0:
        return None
    as_good = weights >= largest - 4 * torch.finfo(weights.dtype).eps * largest
    place = tuple(as_good.nonzero()[0].tolist())
    return StrongestPair(
        weight=float(weights[place]),
        place=place,
        query_token=trace.query_tokens[place[-2]],
        key_token=trace.key_tokens[place[-1]],
        num_ties=int(as_good.sum()) - 1,
    )
