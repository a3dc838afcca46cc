"""The keys that get the most from each query."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.require import require_count
from attention_surgeon.stats.checks import require_weights


class TopKeys(NamedTuple):
    """The strongest keys of each query, the strongest first.

    Attributes:
        weights: `(*batch, n_q, count)`, in the dtype of the weights.
        keys: `(*batch, n_q, count)`, which keys they belong to, int64; -1 where a query has no further key with weight.
    """

    weights: Tensor
    keys: Tensor


def top_keys(weights: Float[Tensor, "*batch q k"], count: int = 3) -> TopKeys:
    """Return the `count` keys that get the most from each query; of equal ones the first.

    Args:
        weights: `(*batch, n_q, n_k)`, rows that sum to 1 (or are all 0), floating.
        count: How many keys, at most n_k.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: no weights; more keys than there are.

    >>> import torch
    >>> top_keys(torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), count=2).keys
    tensor([[ 1,  2],
            [ 0, -1]])
    """
    require_weights(weights, "top_keys")
    require_count(count, "count", "top_keys")
    if count > weights.shape[-1]:
        raise OptionError(f"top_keys: count is {count}, but there are only {weights.shape[-1]} keys.")
    strongest, keys = weights.sort(dim=-1, descending=True, stable=True)  # topk leaves open which of equals it takes
    strongest, keys = strongest[..., :count], keys[..., :count]
    return TopKeys(strongest, keys.masked_fill(strongest == 0, -1))
