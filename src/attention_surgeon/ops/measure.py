"""What a matrix of attention weights says about itself, in four numbers."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.ops.precision import working_dtype
from attention_surgeon.require import require_count, require_floating

MEASURES = ("max_attention", "entropy", "diagonal_mass", "local_vs_global")
"""The names under which they are returned."""


def measure_weights(weights: Float[Tensor, "*batch q k"], window: int = 1) -> dict[str, Tensor]:
    """Return how sharp, how spread out, how self-centred and how local the weights are.

        max_attention     max w_qk
        entropy           mean over rows of -Σ_k w_qk log w_qk     in nats; 0 log 0 = 0 (Shannon 1948, section 6)
        diagonal_mass     mean over rows of w_qk with k = q
        local_vs_global   Σ w_qk with |q - k| <= window, divided by the rest of Σ w_qk

    With another number of keys than of queries the last query's own position is that of the last key, as in a causal
    mask.

    Args:
        weights: Rows that sum to 1, floating. Rows of all heads and sequences count alike.
        window: How far away a key may be and still be near; 0 is the position itself.

    Returns:
        The four by name, each a tensor without axes in the dtype of `weights`. `local_vs_global` is infinite where
        nothing is far.

    Raises:
        ArgumentTypeError, DTypeError: `weights` is no floating tensor, or `window` no whole number.
        ShapeError: an axis is missing, or of size 0.
        OptionError: `window` is below 0.

    Differs from an entropy taken over a column or over the whole matrix: a row is what one query distributes.

    >>> {name: round(number.item(), 4) for name, number in measure_weights(torch.full((4, 4), 0.25)).items()}
    {'max_attention': 0.25, 'entropy': 1.3863, 'diagonal_mass': 0.25, 'local_vs_global': 1.6667}
    """
    _check(weights, window)
    working = weights.to(working_dtype(weights.dtype, weights.device))
    n_q, n_k = weights.shape[-2:]
    position = torch.arange(n_k, device=weights.device)
    distance = (torch.arange(n_k - n_q, n_k, device=weights.device)[:, None] - position).abs()
    near = distance <= window
    measured = {
        "max_attention": working.max(),
        "entropy": torch.special.entr(working).sum(-1).mean(),  # entr(w) = -w log w, 0 at 0
        "diagonal_mass": working.masked_fill(distance > 0, 0.0).sum(-1).mean(),
        "local_vs_global": working.masked_fill(~near, 0.0).sum() / working.masked_fill(near, 0.0).sum(),
    }
    return {name: number.to(weights.dtype) for name, number in measured.items()}


def _check(weights: Tensor, window: int) -> None:
    require_floating(weights, "weights", "measure_weights")
    if weights.ndim < 2 or not weights.numel():
        raise ShapeError(
            f"measure_weights: weights has shape {tuple(weights.shape)}, expected (*batch, n_q, n_k), none of them 0."
        )
    require_count(window, "window", "measure_weights", least=0)
