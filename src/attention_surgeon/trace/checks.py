"""Is the record what it says? Every number is computed again, on its own and in float64, from what stands before it.

Nothing here calls `ops`: the dot products are einsums, the softmax is an exp and a sum. Each check looks at one step
and takes the step before as it was recorded, so a mistake shows where it was made and not in everything after it.
The yardstick is scaled dot-product attention under the recorded mask (Vaswani et al. 2017, equation 1); a step that
was replaced on purpose fails its check. One replacement passes and is only mentioned: `leave_unscaled`, which is
`attention(..., scale=False)`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from attention_surgeon.trace.check import Check, Finding
from attention_surgeon.trace.check_output import check_bounds, check_weighted_sum
from attention_surgeon.trace.check_scores import check_dot_products, check_mask, check_scale
from attention_surgeon.trace.check_weights import check_hidden, check_rows, check_softmax
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace


class _Plan(NamedTuple):
    step: str
    name: str
    run: Callable[[AttentionTrace], Finding]
    needs: tuple[str, ...]


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


def run_checks(trace: AttentionTrace) -> tuple[Check, ...]:
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


def _checks_of(trace: AttentionTrace, step: str) -> Iterator[Check]:
    yield Check(step, "shape", *_check_shape(trace, step))
    yield Check(step, "finite", *_check_finite(trace, step))
    for plan in _PLANS:
        if plan.step == step:
            yield Check(step, plan.name, *_run(plan, trace))


def _run(plan: _Plan, trace: AttentionTrace) -> Finding:
    misshapen = [name for name in plan.needs if not _check_shape(trace, name).passed]
    if misshapen:
        return Finding(False, f"cannot be checked: {' and '.join(misshapen)} of the wrong shape")
    return plan.run(trace)


def _check_shape(trace: AttentionTrace, step: str) -> Finding:
    shape, expected = tuple(getattr(trace, step).shape), trace.expected_shape(step)
    if shape == expected:
        return Finding(True, " x ".join(str(size) for size in shape))
    return Finding(False, f"has shape {shape} where the axes say {expected}")


def _check_finite(trace: AttentionTrace, step: str) -> Finding:
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
