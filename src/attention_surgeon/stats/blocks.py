"""Blocks: runs of positions that share their attention among themselves, as phrases or packed documents do."""

import torch
from torch import Tensor

from attention_surgeon.stats.row_sums import Strip, strips_of

SAME_RUN = 0.5
"""Cosine between neighbouring rows from which on they belong to one run."""

SHORTEST_RUN = 3
"""How many rows a run must have to be a block."""


def block_overlap(weights: Tensor, visible: Tensor | None) -> Tensor:
    """Return how much of each head's attention is spread evenly over blocks: the mean of Σ_k min(w_qk, b_qk).

    Neighbouring rows whose weights point the same way (cosine of at least `SAME_RUN`) form a run. b_qk is even over
    the visible keys of q's own run, and 0 elsewhere and in runs of fewer than `SHORTEST_RUN` rows. A single run over
    everything is no block, so such a head scores 0.

    Args:
        weights: `(*batch, heads, n_q, n_k)`, checked.
        visible: Boolean, broadcasts to them, True = may attend; None: everything is visible.

    Returns:
        `(*batch, heads)`, from 0 to 1; NaN where every row is empty.
    """
    runs = _runs(weights, visible)
    if not bool((runs >= 0).any()):  # as in most heads: nothing to add up
        is_empty = (weights > 0).any(-1).any(-1).logical_not()
        return weights.new_zeros(is_empty.shape).masked_fill(is_empty, float("nan"))
    of_keys = _runs_of_keys(runs, weights.shape[-1])
    parts = [_overlap_of(strip, runs, of_keys, weights.shape[-2]) for strip in strips_of(weights, visible)]
    overlap, num_rows = (torch.stack(each).sum(0) for each in zip(*parts, strict=True))
    return overlap / num_rows


def _runs(weights: Tensor, visible: Tensor | None) -> Tensor:
    """Return which run each row is in, `(*batch, heads, n_q)`; -1 in runs that are too short, or all there is."""
    likeness, last = [], None
    for strip in strips_of(weights, visible):
        rows = strip.weights if last is None else torch.cat([last, strip.weights], dim=-2)
        lengths = torch.linalg.vector_norm(rows, dim=-1)
        products = (rows[..., 1:, :] * rows[..., :-1, :]).sum(-1)
        likeness.append(products / (lengths[..., 1:] * lengths[..., :-1]).clamp(min=torch.finfo(rows.dtype).tiny))
        last = strip.weights[..., -1:, :]
    begins = torch.cat(likeness, dim=-1) < SAME_RUN
    runs = torch.cat([torch.zeros_like(weights[..., :1, 0], dtype=torch.bool), begins], dim=-1).long().cumsum(-1)
    lengths = torch.zeros_like(runs).scatter_add(-1, runs, torch.ones_like(runs)).gather(-1, runs)
    return runs.masked_fill((lengths < SHORTEST_RUN) | (lengths == runs.shape[-1]), -1)


def _runs_of_keys(runs: Tensor, num_keys: int) -> Tensor:
    """Return which run each key is in, `(*batch, heads, n_k)`, -2 where no query stands at it."""
    missing = num_keys - runs.shape[-1]
    if missing <= 0:
        return runs[..., -num_keys:]
    return torch.cat([runs.new_full((*runs.shape[:-1], missing), -2), runs], dim=-1)


def _overlap_of(strip: Strip, runs: Tensor, of_keys: Tensor, num_queries: int) -> tuple[Tensor, Tensor]:
    rows = strip.positions - strip.positions.new_tensor(of_keys.shape[-1] - num_queries)
    mine = runs[..., rows]
    in_block = (mine[..., :, None] == of_keys[..., None, :]) & (mine >= 0)[..., None]
    if strip.allowed is not None:
        in_block = in_block & strip.allowed
    even = 1.0 / in_block.sum(-1, keepdim=True).clamp(min=1).to(strip.weights.dtype)
    overlap = strip.weights.minimum(even).masked_fill(~in_block, 0.0)
    return overlap.sum((-2, -1)), (strip.weights.sum(-1) > 0).sum(-1)
