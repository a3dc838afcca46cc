"""Checks of what stands before the softmax: the dot products, the scale, the mask."""

import math

import torch
from torch import Tensor

from attention_surgeon.trace.check import Finding
from attention_surgeon.trace.compare import compare, rounding, smallest, summing
from attention_surgeon.trace.summary import step_function
from attention_surgeon.trace.trace import AttentionTrace

_EXP_IS_ZERO = 745.2
"""exp(-745.2) is 0 in float64: a cell this far below its row's peak is as good as `-inf`."""


def check_dot_products(trace: AttentionTrace) -> Finding:
    """Compute every `Σ_d Q[q, d] K[k, d]` again."""
    query, key, dtype = trace.query.double(), trace.key.double(), trace.scores.dtype
    expected = torch.einsum("...qd,...kd->...qk", query, key)
    products = torch.einsum("...qd,...kd->...qk", query.abs(), key.abs())
    allowed = 2 * rounding(dtype) * expected.abs() + (trace.key_size + 2) * summing(dtype) * products + smallest(dtype)
    comparison = compare(trace.scores, expected, allowed)
    return Finding(comparison.passed, f"Q Kᵀ again{comparison.off_by()}" if comparison.passed else comparison.wrong())


def check_scale(trace: AttentionTrace) -> Finding:
    """Divide the recorded scores by √d_k again; `leave_unscaled` must leave them as they are."""
    scores, dtype = trace.scores.double(), trace.scaled.dtype
    unscaled = step_function(trace, "scaled") == "leave_unscaled"
    expected = scores if unscaled else scores / math.sqrt(trace.key_size)
    comparison = compare(trace.scaled, expected, 2 * rounding(dtype) * expected.abs() + smallest(dtype))
    if comparison.passed:
        how = "left unscaled" if unscaled else f"scores / √{trace.key_size}"
        return Finding(True, f"{how}{comparison.off_by()}")
    return Finding(False, comparison.wrong() + _common_factor(scores, trace))


def check_mask(trace: AttentionTrace) -> Finding:
    """See that hidden cells are `-inf`, or too low to matter, and that the others are `scaled` plus the bias."""
    scaled, masked, dtype = trace.scaled.double(), trace.masked.double(), trace.masked.dtype
    bias = torch.zeros_like(scaled) if trace.bias is None else trace.bias.double()
    visible = torch.ones_like(scaled, dtype=torch.bool) if trace.allowed is None else trace.allowed
    allowed = 2 * rounding(dtype) * (scaled.abs() + bias.abs()) + smallest(dtype)
    comparison = compare(masked, scaled + bias, allowed, where=visible)
    if not comparison.passed:
        return Finding(False, f"of the visible cells {comparison.wrong()}")
    peak = masked.masked_fill(~visible, float("-inf")).amax(-1, keepdim=True) if masked.shape[-1] else masked
    still_seen = ~visible & ~(masked <= peak - _EXP_IS_ZERO)
    num_hidden = int((~visible).sum())
    if still_seen.any():
        place = still_seen.nonzero()[0].tolist()
        return Finding(
            False,
            f"{int(still_seen.sum())} of {num_hidden} hidden cells can still be seen, the first at {place}: "
            f"{float(masked[tuple(place)]):.4g} where -inf is due",
        )
    return Finding(True, _hidden_cells(trace, masked, visible, num_hidden))


def _hidden_cells(trace: AttentionTrace, masked: Tensor, visible: Tensor, num_hidden: int) -> str:
    added = "" if trace.bias is None or not trace.bias.any() else ", a bias added"
    if not num_hidden:
        return f"nothing hidden{added}"
    highest = float(masked[~visible].max())
    by = "" if highest == -math.inf else f" by {highest:.3g} or less"
    return f"{num_hidden} of {masked.numel()} hidden{by}{added}"


def _common_factor(scores: Tensor, trace: AttentionTrace) -> str:
    """Say what the scores were multiplied with, if it was one number."""
    largest = scores.abs().argmax()
    factor = float(trace.scaled.double().flatten()[largest] / scores.flatten()[largest])
    if not torch.allclose(trace.scaled.double(), scores * factor, rtol=8 * rounding(trace.scaled.dtype), atol=0.0):
        return ""
    due = 1 / math.sqrt(trace.key_size)
    return f"; every score was multiplied by {factor:.4g}, where 1/√{trace.key_size} = {due:.4g} is due"
