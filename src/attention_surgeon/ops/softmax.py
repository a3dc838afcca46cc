"""Softmax and log-sum-exp from exp and sum, safe for any finite score and for rows with nothing to choose from.

    softmax(s)_j = exp(s_j - max s) / Σ_i exp(s_i - max s)            logsumexp(s) = max s + log Σ_i exp(s_i - max s)

Subtracting the maximum changes neither value (it cancels in the fraction) but keeps every exponent at or below
zero, so nothing overflows.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.ops.precision import working_dtype
from attention_surgeon.require import require_floating


def softmax(scores: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*axes"]:
    """Return weights along `dim` that are at least 0 and sum to 1.

    Args:
        scores: Floating tensor of any shape. An entry of `-inf` gets weight 0.
        dim: The axis to normalise over. For attention scores that is the key axis, the last one.

    Returns:
        Weights of the same shape and dtype as `scores`.

    Raises:
        ArgumentTypeError: `scores` is not a tensor, or `dim` is not an integer.
        DTypeError: `scores` is not floating.
        OptionError: `dim` is not an axis of `scores`.

    Differs from `torch.softmax`: a row that holds only `-inf` (a query with no key to attend to) gets zeros, not
    NaN, and its gradient is zero. NaN in a row gives NaN in that row, as in PyTorch.

    >>> softmax(torch.tensor([1.0, 1.0, float("-inf")]))
    tensor([0.5000, 0.5000, 0.0000])
    >>> softmax(torch.full((2,), float("-inf")))
    tensor([0., 0.])
    """
    dim = _check(scores, dim, "softmax")
    working = scores.to(working_dtype(scores.dtype, scores.device))
    exponentials = torch.exp(working - _safe_peak(working, dim))
    total = exponentials.sum(dim, keepdim=True)
    return (exponentials / total.masked_fill(total == 0, 1.0)).to(scores.dtype)


def logsumexp(scores: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return `log Σ exp(scores)` along `dim`, the normaliser of the softmax, without overflow.

    `softmax(s) == exp(s - logsumexp(s))`. An empty row (only `-inf`, or no entries) gives `-inf`.

    Args:
        scores: Floating tensor of any shape.
        dim: The axis to sum over; it is removed.

    Returns:
        A tensor without axis `dim`, in the dtype of `scores`.

    Raises:
        ArgumentTypeError, DTypeError, OptionError: as for `softmax`.

    >>> logsumexp(torch.tensor([[1000.0, 1000.0]]))      # exp(1000) alone overflows
    tensor([1000.6932])
    """
    dim = _check(scores, dim, "logsumexp")
    working = scores.to(working_dtype(scores.dtype, scores.device))
    peak = _safe_peak(working, dim)
    total = torch.exp(working - peak).sum(dim)
    # log(0) is -inf, as it must be, but its gradient is 1/0: an empty row takes the log of 1 instead.
    empty = total == 0
    logs = torch.log(total.masked_fill(empty, 1.0)).masked_fill(empty, float("-inf"))
    return (peak.squeeze(dim) + logs).to(scores.dtype)


def _safe_peak(working: Tensor, dim: int) -> Tensor:
    """Return the maximum along `dim` (kept), 0 where there is none. It is a constant: no gradient needs it."""
    if working.shape[dim] == 0:
        return working.new_zeros([1 if axis == dim else size for axis, size in enumerate(working.shape)])
    peak = working.detach().amax(dim, keepdim=True)
    return peak.masked_fill(peak == float("-inf"), 0.0)


def _check(scores: Tensor, dim: int, name: str) -> int:
    require_floating(scores, "scores", name)
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise ArgumentTypeError(f"{name}: dim is {dim!r}, expected the number of one axis, such as -1.")
    if not -scores.ndim <= dim < scores.ndim:
        raise OptionError(
            f"{name}: dim={dim} is not an axis of scores with shape {tuple(scores.shape)}; "
            f"it has {scores.ndim} axes, the last is dim=-1."
        )
    return dim % scores.ndim
