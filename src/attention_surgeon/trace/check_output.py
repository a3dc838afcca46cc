"""Checks of the output: is it the weighted sum, and does it lie among the values it was made of."""

import torch
from torch import Tensor

from attention_surgeon.trace.check import Finding
from attention_surgeon.trace.compare import compare, rounding, smallest, summing
from attention_surgeon.trace.trace import AttentionTrace

_STRIP_CELLS = 2**22
"""Numbers held at once while looking for the smallest and largest visible value."""


def check_weighted_sum(trace: AttentionTrace) -> Finding:
    """Compute every `Σ_k weights[q, k] V[k, v]` again from the recorded weights."""
    weights, value = trace.weights.double(), trace.value.double()
    expected = torch.einsum("...qk,...kv->...qv", weights, value)
    products = torch.einsum("...qk,...kv->...qv", weights.abs(), value.abs())
    comparison = compare(trace.output, expected, _rounding_error(trace) * products + smallest(trace.output.dtype))
    return Finding(
        comparison.passed, f"weights V again{comparison.off_by()}" if comparison.passed else comparison.wrong()
    )


def check_bounds(trace: AttentionTrace) -> Finding:
    """See that an average lies between the smallest and the largest of what it averages, column by column.

    The values lie in a box around those that the query may see; the average of any weights that are positive and sum
    to 1 cannot leave it. An empty row must be 0.
    """
    lowest, highest = _visible_range(trace)
    output = trace.output.double()
    slack = _rounding_error(trace) * torch.maximum(lowest.abs(), highest.abs()) + smallest(trace.output.dtype)
    comparison = compare(output, output.clamp(lowest, highest), slack)
    if comparison.passed:
        return Finding(True, "within visible values")
    return Finding(False, f"outside the range of the visible values: {comparison.wrong()}")


def _rounding_error(trace: AttentionTrace) -> float:
    dtype = trace.output.dtype
    return 2 * rounding(dtype) + (trace.key.shape[-2] + 2) * summing(dtype)


def _visible_range(trace: AttentionTrace) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest visible value of each query, `(*leading, n_q, d_v)`."""
    value = trace.value.double()
    shape = trace.expected_shape("output")
    if value.shape[-2] == 0:
        return value.new_zeros(shape), value.new_zeros(shape)
    if trace.allowed is None:
        return value.amin(-2, keepdim=True).expand(shape), value.amax(-2, keepdim=True).expand(shape)
    rows = max(_STRIP_CELLS // max(value.numel(), 1), 1)
    strips = [_strip_range(value, allowed) for allowed in trace.allowed.split(rows, dim=-2)]
    lowest, highest = (torch.cat(side, dim=-2) for side in zip(*strips, strict=True))
    return lowest, highest


def _strip_range(value: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    spread, hidden = value.unsqueeze(-3), ~allowed.unsqueeze(-1)  # (..., 1, k, v) and (..., q, k, 1)
    empty = hidden.all(-2)
    lowest = spread.masked_fill(hidden, float("inf")).amin(-2).masked_fill(empty, 0.0)
    highest = spread.masked_fill(hidden, float("-inf")).amax(-2).masked_fill(empty, 0.0)
    return lowest, highest
