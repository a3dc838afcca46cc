"""Is the record what it says? Every number is computed again, on its own and in float64, from what stands before it.

Nothing here calls `ops`: the dot products are einsums, the softmax is an exp and a sum. Each check looks at one step
and takes the step before as it was recorded, so a mistake shows where it was made and not in everything after it.
The yardstick is scaled dot-product attention under the recorded mask (Vaswani et al. 2017, equation 1); a step that
was replaced on purpose fails its check. One replacement passes and is only mentioned: `leave_unscaled`, which is
`attention(..., scale=False)`.

A record is rounded to its dtype, and whoever made it summed in some precision of its own. Both errors have a bound,
so nothing here is a tolerance found by trying. With u one rounding step of the record's dtype and a one of the
precision the sums ran in (float32 at least, or the record's own if that is finer):

    a value that was rounded once       |error| <= 2 u |value|
    a sum of n products                 |error| <= (n + 2) a Σ |product|
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from attention_surgeon.trace.fields import TENSOR_NAMES, TraceFields, step_function

_STRIP_CELLS = 2**22
"""Numbers held at once while looking for the smallest and largest visible value."""

_EXP_IS_ZERO = 745.2
"""exp(-745.2) is 0 in float64: a cell this far below its row's peak is as good as `-inf`."""

_FLUSHED_TO_ZERO = 1.2e-38
"""Below its smallest normal number an accelerator may turn a float32 into 0."""


class Finding(NamedTuple):
    """Whether it holds, and the figures that say so."""

    passed: bool
    detail: str


class _Plan(NamedTuple):
    step: str
    name: str
    run: Callable[[TraceFields], Finding]
    needs: tuple[str, ...]


def check_weighted_sum(trace: TraceFields) -> Finding:
    """Compute every `Σ_k weights[q, k] V[k, v]` again from the recorded weights."""
    weights, value = trace.weights.double(), trace.value.double()
    expected = torch.einsum("...qk,...kv->...qv", weights, value)
    products = torch.einsum("...qk,...kv->...qv", weights.abs(), value.abs())
    comparison = compare(trace.output, expected, _rounding_error(trace) * products + smallest(trace.output.dtype))
    return Finding(
        comparison.passed, f"weights V again{comparison.off_by()}" if comparison.passed else comparison.wrong()
    )


def check_bounds(trace: TraceFields) -> Finding:
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


def check_dot_products(trace: TraceFields) -> Finding:
    """Compute every `Σ_d Q[q, d] K[k, d]` again."""
    query, key, dtype = trace.query.double(), trace.key.double(), trace.scores.dtype
    expected = torch.einsum("...qd,...kd->...qk", query, key)
    products = torch.einsum("...qd,...kd->...qk", query.abs(), key.abs())
    allowed = 2 * rounding(dtype) * expected.abs() + (trace.key_size + 2) * summing(dtype) * products + smallest(dtype)
    comparison = compare(trace.scores, expected, allowed)
    return Finding(comparison.passed, f"Q Kᵀ again{comparison.off_by()}" if comparison.passed else comparison.wrong())


def check_scale(trace: TraceFields) -> Finding:
    """Divide the recorded scores by √d_k again; `leave_unscaled` must leave them as they are."""
    scores, dtype = trace.scores.double(), trace.scaled.dtype
    unscaled = step_function(trace, "scaled") == "leave_unscaled"
    expected = scores if unscaled else scores / math.sqrt(trace.key_size)
    comparison = compare(trace.scaled, expected, 2 * rounding(dtype) * expected.abs() + smallest(dtype))
    if comparison.passed:
        how = "left unscaled" if unscaled else f"scores / √{trace.key_size}"
        return Finding(True, f"{how}{comparison.off_by()}")
    return Finding(False, comparison.wrong() + _common_factor(scores, trace))


def check_mask(trace: TraceFields) -> Finding:
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


def check_softmax(trace: TraceFields) -> Finding:
    """Compute `exp(m) / Σ exp(m)` again from the recorded masked scores, row by row."""
    masked, dtype = trace.masked.double(), trace.weights.dtype
    expected = _softmax(masked)
    summed = 2 * rounding(dtype) + (masked.shape[-1] + 2) * summing(dtype)
    allowed = _moved_by_rounding(masked, expected, rounding(dtype)) + summed * expected + smallest(dtype)
    comparison = compare(trace.weights, expected, allowed)
    detail = f"softmax again{comparison.off_by()}" if comparison.passed else comparison.wrong()
    return Finding(comparison.passed, detail)


def check_hidden(trace: TraceFields) -> Finding:
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


def check_rows(trace: TraceFields) -> Finding:
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


_PLANS = (
    _Plan("scores", "dot products", check_dot_products, ("scores",)),
    _Plan("scaled", "scale", check_scale, ("scores", "scaled")),
    _Plan("masked", "mask", check_mask, ("scaled", "masked")),
    _Plan("weights", "softmax", check_softmax, ("masked", "weights")),
    _Plan("weights", "hidden", check_hidden, ("weights",)),
    _Plan("weights", "rows", check_rows, ("weights",)),
    _Plan("output", "weighted sum", check_weighted_sum, ("weights", "output")),
    _Plan("output", "bounds", check_bounds, ("output",)),
)


@final
@dataclass(frozen=True)
class Check:
    """One thing that was verified about a trace.

    Attributes:
        step: The tensor it is about: "query", ..., "output".
        name: What was checked, in one or two words.
        passed: Whether it holds.
        detail: The figures, as half a sentence.
    """

    step: str
    name: str
    passed: bool
    detail: str


def run_checks(trace: TraceFields) -> tuple[Check, ...]:
    """Return all checks, tensor by tensor in the order in which attention makes them.

    >>> import torch
    >>> from attention_surgeon.ops import Mechanism
    >>> from attention_surgeon.trace import record
    >>> def over_queries(masked, operands):
    ...     return masked.softmax(dim=-2)
    >>> x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    >>> for check in run_checks(record(x, x, x, mechanism=Mechanism(normalise=over_queries))):
    ...     if not check.passed and check.name == "rows":
    ...         print(check.detail)
    rows sum to 0.437 to 1.56, not to 1; the columns do: the softmax ran over the queries
    """
    return tuple(check for name in TENSOR_NAMES for check in _checks_of(trace, name))


def _checks_of(trace: TraceFields, step: str) -> Iterator[Check]:
    yield Check(step, "shape", *_check_shape(trace, step))
    yield Check(step, "finite", *_check_finite(trace, step))
    for plan in _PLANS:
        if plan.step == step:
            yield Check(step, plan.name, *_run(plan, trace))


def _run(plan: _Plan, trace: TraceFields) -> Finding:
    misshapen = [name for name in plan.needs if not _check_shape(trace, name).passed]
    if misshapen:
        return Finding(False, f"cannot be checked: {' and '.join(misshapen)} of the wrong shape")
    return plan.run(trace)


def _check_shape(trace: TraceFields, step: str) -> Finding:
    shape, expected = tuple(getattr(trace, step).shape), trace.expected_shape(step)
    if shape == expected:
        return Finding(True, " x ".join(str(size) for size in shape))
    return Finding(False, f"has shape {shape} where the axes say {expected}")


def _check_finite(trace: TraceFields, step: str) -> Finding:
    tensor = getattr(trace, step)
    broken = ~tensor.isfinite()
    if step == "masked" and trace.allowed is not None and tensor.shape == trace.allowed.shape:
        broken &= trace.allowed | (tensor != float("-inf"))  # -inf is what a hidden cell is to hold
    if not broken.any():
        return Finding(True, "all finite" if step != "masked" else "all finite but the hidden")
    place = broken.nonzero()[0].tolist()
    return Finding(
        False, f"{int(broken.sum())} of {tensor.numel()} are not finite, the first at {place}: {tensor[tuple(place)]}"
    )


def _rounding_error(trace: TraceFields) -> float:
    dtype = trace.output.dtype
    return 2 * rounding(dtype) + (trace.key.shape[-2] + 2) * summing(dtype)


def _visible_range(trace: TraceFields) -> tuple[Tensor, Tensor]:
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


def _hidden_cells(trace: TraceFields, masked: Tensor, visible: Tensor, num_hidden: int) -> str:
    added = "" if trace.bias is None or not trace.bias.any() else ", a bias added"
    if not num_hidden:
        return f"nothing hidden{added}"
    highest = float(masked[~visible].max())
    by = "" if highest == -math.inf else f" by {highest:.3g} or less"
    return f"{num_hidden} of {masked.numel()} hidden{by}{added}"


def _common_factor(scores: Tensor, trace: TraceFields) -> str:
    """Say what the scores were multiplied with, if it was one number."""
    largest = scores.abs().argmax()
    factor = float(trace.scaled.double().flatten()[largest] / scores.flatten()[largest])
    if not torch.allclose(trace.scaled.double(), scores * factor, rtol=8 * rounding(trace.scaled.dtype), atol=0.0):
        return ""
    due = 1 / math.sqrt(trace.key_size)
    return f"; every score was multiplied by {factor:.4g}, where 1/√{trace.key_size} = {due:.4g} is due"


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


def _empty_rows(trace: TraceFields) -> Tensor:
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


def rounding(dtype: torch.dtype) -> float:
    """Return u, the rounding step of a recorded value."""
    return torch.finfo(dtype).eps


def summing(dtype: torch.dtype) -> float:
    """Return a, the rounding step of the precision in which sums ran: float32, or `dtype` if it is finer."""
    return min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)


def smallest(dtype: torch.dtype) -> float:
    """Return the error that a number next to 0 may have: the last step of `dtype`, or what is flushed to 0."""
    return max(torch.finfo(dtype).tiny * torch.finfo(dtype).eps, _FLUSHED_TO_ZERO)


@final
@dataclass(frozen=True)
class Comparison:
    """How a recorded tensor differs from what it should be.

    Attributes:
        num_cells: How many cells were compared.
        num_wrong: How many are further off than allowed; NaN is always wrong.
        largest_error: The largest difference; NaN if any cell is.
        worst: Place of the worst wrong cell; None if none is wrong.
        recorded: What stands at `worst`.
        expected: What should stand there.
    """

    num_cells: int
    num_wrong: int
    largest_error: float
    worst: tuple[int, ...] | None
    recorded: float
    expected: float

    @property
    def passed(self) -> bool:
        """Whether every cell is as close as allowed."""
        return self.num_wrong == 0

    def off_by(self) -> str:
        """Return the largest difference, to stand behind what was compared."""
        return ", exact" if self.largest_error == 0 else f" ± {self.largest_error:.0e}"

    def wrong(self) -> str:
        """Return how many cells differ, and the worst one with its place."""
        return (
            f"{self.num_wrong} of {self.num_cells} differ, the most at {list(self.worst or ())}: "
            f"{self.recorded:.4g} where {self.expected:.4g} is due"
        )


def compare(recorded: Tensor, expected: Tensor, allowed_error: Tensor, where: Tensor | None = None) -> Comparison:
    """Compare two tensors cell by cell.

    Args:
        recorded: What the trace holds.
        expected: What was computed again, float64, same shape.
        allowed_error: Broadcasts to that shape.
        where: Boolean, the cells to look at; None: all.

    >>> compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), torch.tensor(0.1)).wrong()
    '1 of 2 differ, the most at [1]: 2.5 where 2 is due'
    """
    recorded = recorded.double()
    error = (recorded - expected).abs()
    # inf - inf is NaN, yet the two agree.
    error = error.masked_fill(recorded == expected, 0.0)
    if where is not None:
        error = error.masked_fill(~where, 0.0)
    wrong = ~(error <= allowed_error)  # written so that NaN is wrong
    num_cells = error.numel() if where is None else int(where.sum())
    if not wrong.any():
        largest = float(error.max()) if error.numel() else 0.0
        return Comparison(num_cells, 0, largest, None, 0.0, 0.0)
    badness = error.nan_to_num(nan=float("inf")).masked_fill(~wrong, -1.0)
    worst = tuple(int(place) for place in torch.unravel_index(badness.argmax(), badness.shape))
    return Comparison(
        num_cells, int(wrong.sum()), float(error.max()), worst, float(recorded[worst]), float(expected[worst])
    )
