"""Checks of the weights: are they the softmax, does a hidden key get nothing, does each row sum to 1."""

import torch
from torch import Tensor

from attention_surgeon.trace.check import Finding
from attention_surgeon.trace.compare import compare, rounding, smallest, summing
from attention_surgeon.trace.trace import AttentionTrace


def check_softmax(trace: AttentionTrace) -> Finding:
    """Compute `exp(m) / Σ exp(m)` again from the recorded masked scores, row by row."""
    masked, dtype = trace.masked.double(), trace.weights.dtype
    expected = _softmax(masked)
    summed = 2 * rounding(dtype) + (masked.shape[-1] + 2) * summing(dtype)
    allowed = _moved_by_rounding(masked, expected, rounding(dtype)) + summed * expected + smallest(dtype)
    comparison = compare(trace.weights, expected, allowed)
    detail = f"softmax again{comparison.off_by()}" if comparison.passed else comparison.wrong()
    return Finding(comparison.passed, detail)


def check_hidden(trace: AttentionTrace) -> Finding:
    """See that a hidden key gets weight 0, exactly."""
    if trace.allowed is None or trace.allowed.all():
        return Finding(True, "no key is hidden")
    hidden = ~trace.allowed
    given = hidden & (trace.weights != 0)
    num_hidden = int(hidden.sum())
    if not given.any():
        return Finding(True, f"{num_hidden} hidden cells, all weight 0")
    place = given.nonzero()[0].tolist()
    return Finding(
        False,
        f"{int(given.sum())} of {num_hidden} hidden cells get weight, the first at {place}: "
        f"{float(trace.weights[tuple(place)]):.3g}",
    )


def check_rows(trace: AttentionTrace) -> Finding:
    """Add each row up: 1, or 0 where the query may attend to no key."""
    weights, dtype = trace.weights.double(), trace.weights.dtype
    num_keys = weights.shape[-1]
    empty = _empty_rows(trace)
    allowed = 2 * rounding(dtype) + (num_keys + 2) * summing(dtype) + num_keys * smallest(dtype)
    comparison = compare(weights.sum(-1), (~empty).double(), torch.tensor(allowed))
    if comparison.passed:
        detail = f"rows sum to 1{comparison.off_by()}"
        return Finding(True, detail if not empty.any() else f"{detail}; {int(empty.sum())} empty, sum 0")
    return Finding(False, _wrong_sums(weights, empty, allowed))


def _softmax(masked: Tensor) -> Tensor:
    if masked.shape[-1] == 0:
        return masked
    peak = masked.amax(-1, keepdim=True)
    exponentials = (masked - peak.masked_fill(peak == float("-inf"), 0.0)).exp()
    total = exponentials.sum(-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


def _moved_by_rounding(masked: Tensor, weights: Tensor, step: float) -> Tensor:
    """Return how far rounding the scores can have moved each weight.

    A score m is off by at most `step |m|`, and so is the peak that it is compared with: the logarithm of a weight p
    is off by d, their sum. The weight itself is then at least `p e⁻ᵈ`, at most `p eᵈ`, and never above 1.
    """
    if masked.shape[-1] == 0:
        return masked
    size = step * masked.abs().masked_fill(masked == float("-inf"), 0.0)
    d = size + size.amax(-1, keepdim=True)
    most = torch.exp((weights.log() + d).clamp(max=0.0))
    return torch.maximum(most - weights, weights * -torch.expm1(-d))


def _empty_rows(trace: AttentionTrace) -> Tensor:
    if trace.weights.shape[-1] == 0 or trace.allowed is None:
        return torch.full(trace.weights.shape[:-1], trace.weights.shape[-1] == 0)
    return ~trace.allowed.any(-1)


def _wrong_sums(weights: Tensor, empty: Tensor, allowed: float) -> str:
    sums = weights.sum(-1)
    filled = sums[empty]
    if filled.any() and bool(((sums[~empty] - 1).abs() <= allowed).all()):
        largest = float(filled.abs().max())
        return f"{filled.numel()} rows may attend to no key, yet sum to {largest:.3g}; 0 is due"
    detail = f"rows sum to {float(sums[~empty].min()):.3g} to {float(sums[~empty].max()):.3g}, not to 1"
    columns = weights.sum(-2)
    if bool(((columns - 1).abs() <= allowed).all()):
        return f"{detail}; the columns do: the softmax ran over the queries"
    return detail
