"""The forward pass: block after block of queries, tile after tile of keys, and never a whole row of scores.

For a block of queries the sum and the output grow with each tile:

    peak'   = max(peak, largest score of the tile)              what was summed before counts 2 ** (peak - peak')
    total'  = total · 2 ** (peak - peak')  + Σ_j 2 ** (s_j - peak')
    output' = output · 2 ** (peak - peak') + Σ_j 2 ** (s_j - peak') v_j

and at the end `output / total`. Source: Dao et al. 2022, "FlashAttention", algorithm 1; the running maximum is from
Milakov and Gimelshein 2018, "Online normalizer calculation for softmax". Where scores are known to be small the
peak is 0 from beginning to end, which saves three of the seven passes over a tile.
"""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor

from attention_surgeon.kernels.dropout import kept
from attention_surgeon.kernels.folded import folded
from attention_surgeon.kernels.problem import BOUNDED_BELOW, FEW_KEYS, Block, Precision, Problem, all_finite, places
from attention_surgeon.kernels.products import add_product
from attention_surgeon.kernels.scores import (
    Reach,
    Scratch,
    exact_above,
    exponentials,
    scaled_query,
    tile_scores,
)
from attention_surgeon.kernels.tiles import Tiles
from attention_surgeon.kernels.workers import run_in_workers


class ForwardResult(NamedTuple):
    """What the forward pass leaves, of which the backward pass needs all.

    Attributes:
        output: `(units, n_q, d_v)`.
        shift: What was subtracted from each row of scores, float64 `(units, n_q, 1)`; 0 for an empty row.
        total: The sum of `2 ** (score - shift)` of each row `(units, n_q, 1)`; 0 for an empty row.
    """

    output: Tensor
    shift: Tensor
    total: Tensor

    def logsumexp(self) -> Tensor:
        """Return the natural logarithm of the sum of `exp(score)`, `(units, n_q)`; `-inf` for an empty row."""
        return ((self.shift + self.total.double().log2()) * math.log(2)).squeeze(-1)


DIRECT_CELLS = 2**21
"""Scores so few (8 MiB of float32) that they are made at once: then the tiles and the Python between them cost more."""


def forward_pass(problem: Problem, workers: int) -> ForwardResult:
    """Return the output of attention and what its softmax was normalised by; `workers` is from `workers_for`."""
    units, n_q, _ = problem.sizes
    query = problem.query
    made = ForwardResult(
        query.new_empty(units, n_q, problem.value.shape[-1]),  # written by the workers: fresh memory costs time, too
        query.new_zeros(units, n_q, 1, dtype=torch.float64),
        query.new_zeros(units, n_q, 1),
    )
    reach = Reach.of(problem)
    is_careful = not (reach.is_finite and all_finite(problem.value))

    def run(passes: list[Forward], blocks: list[Block]) -> None:
        queue = iter(blocks)  # each worker takes the next one when it is free: blocks do not depend on each other
        run_in_workers(lambda worker, block: passes[worker].run(block), [queue] * workers)

    part = folded(problem)
    blocks = problem.blocks() if part is None else part.rest(units, n_q)
    run([Forward(problem, made, reach, is_careful) for _ in range(workers)], blocks)
    if part is None:
        return made
    for unit, inner in enumerate(part.problems):
        here = ForwardResult(*(x[unit, part.rows].view(*inner.query.shape[:2], x.shape[-1]) for x in made))
        within = reach.within(unit, part.rows, inner)
        run([Forward(inner, here, within, is_careful) for _ in range(workers)], inner.blocks())
    return made


def at_once(problem: Problem) -> ForwardResult | None:
    """Return what the tiles would make of few scores that hide nothing; None: there are more, or they need more care.

    The largest score of each row decides, not a bound on it, so keys are read once only: a score far below it has no
    weight whose rounding could show.
    """
    units, num_queries, num_keys = problem.sizes
    if problem.visible is not None or problem.dropout or not 0 < units * num_queries * num_keys <= DIRECT_CELLS:
        return None
    together = _sharing(problem.kv_of, problem.key.shape[0])
    if together is None:
        return None
    key, value = problem.key, problem.value
    query = problem.query
    if together > 1:
        query = query.reshape(key.shape[0], together * num_queries, -1)  # queries of the same keys: one product
    scores = query.new_empty(*query.shape[:2], num_keys)  # given to `bmm`, because autocast would round its own
    torch.bmm(query * problem.factor, key.mT, out=scores)  # (u, q, d) @ (u, d, k) -> (u, q, k)
    shift = scores.amax(-1, keepdim=True)
    largest = max(abs(float(end)) for end in torch.aminmax(shift))
    if not largest < exact_above(problem):  # NaN and infinity, too
        return None
    if largest <= BOUNDED_BELOW and num_keys > FEW_KEYS:
        shift = shift.new_zeros(shift.shape, dtype=torch.float64)
    else:
        scores -= shift
        shift = shift.double()
    weights = scores.exp2_()
    total = weights.sum(-1, keepdim=True)
    output = query.new_empty(*query.shape[:2], value.shape[-1])
    torch.bmm(weights, value, out=output)  # (u, q, k) @ (u, k, v) -> (u, q, v)
    made = ForwardResult(output.div_(total), shift, total)
    return made if together == 1 else ForwardResult(*(x.view(units, num_queries, x.shape[-1]) for x in made))


def _sharing(kv_of: list[int], num_kv: int) -> int | None:
    """Return how many neighbouring units read each entry of key and value; None where it is not so regular.

    >>> _sharing([0, 1], 2), _sharing([0, 0, 1, 1], 2), _sharing([0, 1, 0, 1], 2)
    (1, 2, None)
    """
    together = len(kv_of) // num_kv
    return together if kv_of == [entry for entry in range(num_kv) for _ in range(together)] else None


@final
class Forward:
    """What one worker needs to compute block after block."""

    def __init__(self, problem: Problem, made: ForwardResult, reach: Reach, is_careful: bool) -> None:
        """Keep what is common to the workers, and make what each has of its own."""
        self._problem, self._made, self._reach, self._is_careful = problem, made, reach, is_careful
        self._tiles, self._scratch = Tiles(problem), Scratch(problem.query.device)

    def run(self, block: Block) -> None:
        """Compute the block's part of the output."""
        problem = self._problem
        tiles = self._tiles.of(block)
        output, total = self._made.output[block], self._made.total[block]
        if not tiles:
            output.zero_()
            return
        precision = self._reach.precision(block, tiles)
        query = scaled_query(problem, block, precision)
        peak: Tensor | None = None
        shift: Tensor | None = None
        kv = places(problem.kv_of[block.units])
        for tile in tiles:
            is_first = tile is tiles[0]
            key = problem.key[kv, tile.columns]
            scores = tile_scores(query, key, tile, self._scratch, self._is_careful)
            if precision is not Precision.BOUNDED:
                peak, shift, shrink = _raise_peak(peak, scores)
                if shrink is not None:
                    total *= shrink.to(total.dtype)
                    output *= shrink.to(total.dtype)
            weights = exponentials(scores, shift, output.dtype, self._scratch)
            total += weights.sum(-1, keepdim=True)
            keep = kept(problem, block, tile.columns, weights)
            if keep is not None:
                weights *= keep
            hidden = tile.hidden if self._is_careful else None
            add_product(output, weights, problem.value[kv, tile.columns], hidden, is_first)
        output /= total.masked_fill(total == 0, 1.0) * problem.kept_share
        if shift is not None:
            self._made.shift[block] = shift.double()


def _raise_peak(peak: Tensor | None, scores: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the peak with the tile's own in it, what to subtract, and how what was summed before shrinks."""
    raised = scores.amax(-1, keepdim=True)
    if peak is not None:
        raised = torch.maximum(peak, raised)
    shift = raised.masked_fill(raised == -math.inf, 0.0)  # a row that has seen no key yet: -inf minus -inf is NaN
    return raised, shift, None if peak is None else torch.exp2(peak - shift)
