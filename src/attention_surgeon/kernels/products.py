"""Products of weights with vectors in which what is hidden stays hidden, also when it is NaN."""

import torch
from torch import Tensor

from attention_surgeon.kernels.scores import expand_units


def add_product(total: Tensor, weights: Tensor, vectors: Tensor, hidden: Tensor | None, is_first: bool = False) -> None:
    """Add `weights @ vectors` to `total`: `(u, m, n) @ (u, n, d) -> (u, m, d)`.

    Args:
        total: `(u, m, d)`, changed in place.
        weights: 0 where hidden.
        vectors: May hold NaN and infinity.
        hidden: True where a weight is hidden; there 0 times NaN shall be 0. None: nothing is hidden, or everything
            is finite, and the plain product is right.
        is_first: Whether `total` holds nothing yet, whatever lies there.
    """
    old = 0 if is_first else 1  # a factor of 0 leaves what is there unread
    vectors = expand_units(vectors, total.shape[0])
    if hidden is None or bool((is_finite := vectors.isfinite()).all()):
        total.baddbmm_(weights, vectors, beta=old)
        return
    total.baddbmm_(weights, vectors.masked_fill(~is_finite, 0.0), beta=old)
    for at in (~is_finite).any(-1).any(0).nonzero().flatten().tolist():
        odd = vectors[:, at : at + 1].masked_fill(is_finite[:, at : at + 1], 0.0)
        contribution = weights[..., at : at + 1] * odd  # (u, m, 1) * (u, 1, d) -> (u, m, d)
        seen = ~hidden[..., at : at + 1] if hidden.shape[-1] > 1 else ~hidden
        total += torch.where(seen, contribution, 0.0)
