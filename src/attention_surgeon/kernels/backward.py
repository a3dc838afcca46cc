"""The backward pass: the weights are computed again, tile by tile, in place of being kept.

With `E = 2 ** (scores - shift)` and `total` its row sums, the weights are `P = E / total`. Dividing the incoming
gradient by `total` once for each row saves dividing every tile:

    G' = dO / total            a = rowsum(dO ∘ O) / total          (`ops/gradients.py` derives the plain form)
    dV = Eᵀ G'                 dS = E ∘ (G' Vᵀ - a)                dQ = dS K · scale        dK = dSᵀ Q · scale

`rowsum(dO ∘ O)` is `rowsum(P ∘ dP)`, for which the whole row would be needed (Dao et al. 2022, section 3.1 and
appendix B.2). Dropping a weight multiplies its E in dV and its dP by `1 / (1 - p)` or 0.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor

from attention_surgeon.kernels.dropout import kept
from attention_surgeon.kernels.forward import ForwardResult
from attention_surgeon.kernels.problem import Block, Problem, all_finite, places
from attention_surgeon.kernels.products import add_product
from attention_surgeon.kernels.scores import Reach, Scratch, expand_units, exponentials, scaled_query, tile_scores
from attention_surgeon.kernels.tiles import Tile, Tiles
from attention_surgeon.kernels.visible import LOG2_E
from attention_surgeon.kernels.workers import run_in_workers


class Gradients(NamedTuple):
    """Gradients in the shapes of what they belong to; `bias` is None unless it was asked for."""

    query: Tensor
    key: Tensor
    value: Tensor
    bias: Tensor | None


def backward_pass(
    problem: Problem,
    made: ForwardResult,
    grad_output: Tensor,
    grad_logsumexp: Tensor | None,
    bias: Tensor | None,
    workers: int,
) -> Gradients:
    """Return the gradients of query, key, value and bias.

    Args:
        problem: As in the forward pass.
        made: What it left.
        grad_output: dL/doutput `(units, n_q, d_v)`.
        grad_logsumexp: dL/dlogsumexp `(units, n_q)`, None: the loss does not use it.
        bias: The floating mask if its gradient is asked for.
        workers: From `workers_for`; 1 with a bias, because heads that share it would add to it at the same time.
    """
    reach = Reach.of(problem)
    is_careful = not (reach.is_finite and all_finite(problem.value) and all_finite(grad_output))

    def one_worker(into: Gradients) -> Backward:
        return Backward(problem, made, grad_output, grad_logsumexp, into, reach, is_careful)

    grads = sum_over_blocks(problem, bias, workers, one_worker)
    grads.key.mul_(1 / LOG2_E)  # the queries in it were in units of log 2
    return grads


class Pass(Protocol):
    """What one worker does with block after block."""

    def run(self, block: Block) -> None:
        """Work on one block."""
        ...


def sum_over_blocks(
    problem: Problem, bias: Tensor | None, workers: int, one_worker: Callable[[Gradients], Pass]
) -> Gradients:
    """Return gradients to which each worker has added what its blocks contribute.

    Args:
        problem: The call.
        bias: The floating mask if its gradient is asked for.
        workers: From `workers_for`.
        one_worker: Makes a worker's pass from the gradients that it adds to.
    """
    shares, is_disjoint = share_blocks(problem, workers)
    common = zero_gradients(problem, bias)
    own = [common] + [common if is_disjoint else _own_keys(common) for _ in shares[1:]]
    passes = [one_worker(into) for into in own]
    run_in_workers(lambda worker, block: passes[worker].run(block), shares)
    for other in () if is_disjoint else own[1:]:
        common.key.add_(other.key)
        common.value.add_(other.value)
    return common


def zero_gradients(problem: Problem, bias: Tensor | None) -> Gradients:
    """Return zeros in the shape of everything that has a gradient; that of the queries is one for each unit."""
    query = torch.zeros_like(problem.query, memory_format=torch.contiguous_format)
    key, value = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (problem.key, problem.value))
    return Gradients(query, key, value, None if bias is None else torch.zeros_like(bias, dtype=query.dtype))


def _own_keys(common: Gradients) -> Gradients:
    return common._replace(key=torch.zeros_like(common.key), value=torch.zeros_like(common.value))


def share_blocks(problem: Problem, workers: int) -> tuple[list[list[Block]], bool]:
    """Deal the blocks to the workers, and say whether no two workers add to the same keys.

    Whole heads where there are enough of them, else the blocks of queries by turns. The shares depend on sizes and
    the number of workers alone, so the sums are made in the same order every time.
    """
    blocks = problem.blocks()
    starts = sorted({block.units.start for block in blocks})
    by_heads = len(starts) % workers == 0 or len(starts) >= 4 * workers
    worker_of = {start: number * workers // len(starts) for number, start in enumerate(starts)}
    shares: list[list[Block]] = [[] for _ in range(workers)]
    for number, block in enumerate(blocks):
        shares[worker_of[block.units.start] if by_heads else number % workers].append(block)
    keys = [{kv for block in share for kv in problem.kv_of[block.units]} for share in shares]
    return shares, sum(len(each) for each in keys) == len(set().union(*keys))


@final
class Backward:
    """What one worker needs to compute block after block."""

    def __init__(
        self,
        problem: Problem,
        made: ForwardResult,
        grad_output: Tensor,
        grad_logsumexp: Tensor | None,
        into: Gradients,
        reach: Reach,
        is_careful: bool,
    ) -> None:
        """Keep what is common to the workers, and make what each has of its own."""
        self._problem, self._made, self._into = problem, made, into
        self._grad_output, self._grad_logsumexp = grad_output, grad_logsumexp
        self._reach, self._is_careful = reach, is_careful
        self._tiles, self._scratch = Tiles(problem), Scratch(problem.query.device)

    def run(self, block: Block) -> None:
        """Add what the block's queries hand back to the gradients."""
        problem = self._problem
        tiles = self._tiles.of(block)
        if not tiles:
            return
        precision = self._reach.precision(block, tiles)
        query = scaled_query(problem, block, precision)
        shift = self._made.shift[block].to(query.dtype)
        shift = shift if shift.any() else None  # bounded scores have none
        total = self._made.total[block]
        share = total.masked_fill(total == 0, 1.0).reciprocal()
        average = (self._grad_output[block].double() * self._made.output[block]).sum(-1, keepdim=True)
        if self._grad_logsumexp is not None:
            average -= self._grad_logsumexp[block].unsqueeze(-1)
        average = (average * share).to(query.dtype)
        grad_output = self._grad_output[block] * (share / problem.kept_share)
        narrow_query = query.to(problem.query.dtype)
        kv = places(problem.kv_of[block.units])
        for tile in tiles:
            hidden = tile.hidden if self._is_careful else None
            key, value = problem.key[kv, tile.columns], problem.value[kv, tile.columns]
            scores = tile_scores(query, key, tile, self._scratch, self._is_careful)
            weights = exponentials(scores, shift, problem.query.dtype, self._scratch)
            grad_scores = self._grad_scores(block, tile, weights, grad_output, average, value, hidden)
            add_product(self._into.query[block], grad_scores, key, hidden)
            add_for_keys(self._into.key, problem, block, tile, grad_scores, narrow_query, hidden)
            if self._into.bias is not None:
                add_for_bias(self._into.bias, problem, block, tile, grad_scores)
        self._into.query[block].mul_(problem.factor / LOG2_E)

    def _grad_scores(
        self,
        block: Block,
        tile: Tile,
        weights: Tensor,
        grad_output: Tensor,
        average: Tensor,
        value: Tensor,
        hidden: Tensor | None,
    ) -> Tensor:
        """Add to the gradient of the values and return that of the scores, in natural units."""
        grad_weights = self._scratch.take("grad", average.dtype, tuple(weights.shape))
        wide_value = expand_units(value.to(average.dtype), weights.shape[0])
        torch.bmm(grad_output.to(average.dtype), wide_value.mT, out=grad_weights)  # (u, r, v) @ (u, v, c)
        keep = kept(self._problem, block, tile.columns, weights)
        dropped = weights if keep is None else weights * keep
        add_for_keys(self._into.value, self._problem, block, tile, dropped, grad_output, hidden)
        if keep is not None:
            grad_weights *= keep
        grad_weights -= average
        if grad_weights.dtype != weights.dtype:  # what nearly cancels was subtracted in float64, like the scores
            grad_weights = self._scratch.take("narrow grad", weights.dtype, tuple(weights.shape)).copy_(grad_weights)
        grad_weights *= weights
        if hidden is not None:
            grad_weights.masked_fill_(hidden, 0.0)
        return grad_weights


def add_for_keys(
    into: Tensor, problem: Problem, block: Block, tile: Tile, weights: Tensor, vectors: Tensor, hidden: Tensor | None
) -> None:
    """Add `weightsᵀ @ vectors` to the rows of `into` that the block's keys are."""
    positions = problem.kv_of[block.units]
    kv = places(positions)
    hidden = None if hidden is None else hidden.expand(weights.shape).mT
    if isinstance(kv, slice) and len(positions) == kv.stop - kv.start:
        add_product(into[kv, tile.columns], weights.mT, vectors, hidden)
        return
    part = weights.new_zeros(weights.shape[0], weights.shape[2], vectors.shape[-1])
    add_product(part, weights.mT, vectors, hidden)
    into[:, tile.columns].index_add_(0, torch.tensor(positions, device=into.device), part)


def add_for_bias(bias: Tensor, problem: Problem, block: Block, tile: Tile, grad_scores: Tensor) -> None:
    """Add a tile's gradient to that of the bias, summed over the axes along which the bias was broadcast."""
    visible = problem.visible
    assert visible is not None  # a bias is a mask
    part = bias[..., visible.rows_of(block.rows), visible.columns_of(tile.columns)]
    for position, grad in zip(problem.mask_of[block.units], grad_scores, strict=True):
        own = part[torch.unravel_index(torch.tensor(position), part.shape[:-2])] if part.ndim > 2 else part
        own += grad.sum_to_size(own.shape)
