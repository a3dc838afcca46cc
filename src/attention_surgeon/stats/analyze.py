"""The four numbers that the course asks for, as Python floats."""

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.ops import measure_weights
from attention_surgeon.stats.checks import require_weights

_MEANS = ("entropy", "diagonal_mass")


def analyze_attention_patterns(attention_weights: Float[Tensor, "*batch q k"]) -> dict[str, float]:
    """Return how sharp, how spread out, how self-centred and how local attention is, over all heads and sequences.

    The four are those of `attention_surgeon.ops.measure_weights`, except that empty rows, of queries that may attend
    to nobody, are left out of the means; `head_statistics` tells how many there are, and the numbers of each head.

    Args:
        attention_weights: `(*batch, n_q, n_k)`, rows that sum to 1 (or are all 0), floating.

    Returns:
        max_attention: The largest weight.
        entropy: The mean over rows of the Shannon entropy, in nats.
        diagonal_mass: The share of attention that each query gives to its own position, a mean over rows, 0 to 1. With
            another number of keys than of queries the last query stands at the last key.
        local_vs_global: What goes to positions at most 1 away, divided by what goes further; infinite where nothing
            does.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError: no floating tensor of at least two axes, or an empty one.
        NonFiniteError, OptionError: numbers that are no weights, or rows that are all empty.

    >>> import torch
    >>> {name: round(number, 4) for name, number in analyze_attention_patterns(torch.full((4, 4), 0.25)).items()}
    {'max_attention': 0.25, 'entropy': 1.3863, 'diagonal_mass': 0.25, 'local_vs_global': 1.6667}
    """
    require_weights(attention_weights, "analyze_attention_patterns", "attention_weights")
    has_weight = attention_weights.sum(-1) > 0
    num_rows = int(has_weight.sum())
    if num_rows == 0:
        raise OptionError("analyze_attention_patterns: every row of attention_weights is empty: nothing to measure.")
    measured = {name: number.item() for name, number in measure_weights(attention_weights).items()}
    for name in _MEANS:  # an empty row has added 0, and counted
        measured[name] *= has_weight.numel() / num_rows
    return measured
