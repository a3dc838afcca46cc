"""Derivatives of the two passes: how the output moves with its inputs, and the gradients of the gradients.

Forward mode. Let the inputs move along X, Y, Z, W (query, key, value, floating mask), and `c` be the scale:

    Ṡ = c (X Kᵀ + Q Yᵀ) + W        how the scores move
    L̇ = rowsum(P ∘ Ṡ)              how the log-sum-exp moves
    Ȯ = (P ∘ Ṡ) V - L̇ ∘ O + P Z    how the output moves; with dropout the weights in front of V and Z are the kept ones

Second derivatives. The gradients dQ, dK, dV, dB are linear in G and g, the gradients of output and log-sum-exp. If they
get gradients X, Y, Z, W themselves, what is differentiated is `φ = <X, dQ> + <Y, dK> + <Z, dV> + <W, dB>`, and because
a gradient is the transpose of forward mode, `φ = <G, Ȯ> + <g, L̇>` with the Ȯ and L̇ above. So dφ/dG = Ȯ and dφ/dg = L̇,
and with

    D = G Vᵀ,  E = G Zᵀ,  a = rowsum(G ∘ O),  h = rowsum(G ∘ Ȯ) + L̇ ∘ (g - a)
    T = P ∘ (D - a + g)                            dφ/dṠ, the gradient of the scores itself
    R = P ∘ (Ṡ - L̇)                                dφ/dD
    M = P ∘ (Ṡ ∘ (D - a + g) - L̇ ∘ D + E - h)      dφ/dS
    dφ/dQ = c (M K + T Y)    dφ/dK = c (Mᵀ Q + Tᵀ X)    dφ/dV = Rᵀ G    dφ/dB = M

Everything is a sum over tiles, as in `forward.py` and `backward.py`; a, h and L̇ are one number for each query. The
second derivative is symmetric, so the same φ says how the gradients move in forward mode.
"""

from collections.abc import Iterator
from typing import NamedTuple, final

import torch
from torch import Tensor

from attention_surgeon.kernels.backward import Gradients, add_for_bias, add_for_keys, sum_over_blocks
from attention_surgeon.kernels.dropout import kept
from attention_surgeon.kernels.forward import ForwardResult
from attention_surgeon.kernels.problem import Block, Problem, all_finite, places
from attention_surgeon.kernels.products import add_product
from attention_surgeon.kernels.scores import Reach, Scratch, expand_units, exponentials, scaled_query, tile_scores
from attention_surgeon.kernels.tiles import Tile, Tiles
from attention_surgeon.kernels.visible import LOG2_E
from attention_surgeon.kernels.workers import run_in_workers


class Directions(NamedTuple):
    """Along what the inputs move, each in the shape of its input; None: it stays."""

    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    bias: Tensor | None


class Tangents(NamedTuple):
    """How the results move: output `(units, n_q, d_v)` and log-sum-exp `(units, n_q)`."""

    output: Tensor
    logsumexp: Tensor


class Upstream(NamedTuple):
    """Gradients of the results; None: the loss does not use the log-sum-exp."""

    output: Tensor
    logsumexp: Tensor | None


class Part(NamedTuple):
    """One tile of one block, with its weights.

    Attributes:
        tile: Which keys.
        kv: Which entries of key and value.
        weights: P, `(u, r, c)`.
        kept: P with dropout.
        factor: What dropout multiplies by; None without it.
        moved: Ṡ.
        hidden: Where 0 times NaN shall be 0; None: nowhere.
    """

    tile: Tile
    kv: slice | list[int]
    weights: Tensor
    kept: Tensor
    factor: Tensor | None
    moved: Tensor
    hidden: Tensor | None


@final
class Replay:
    """The weights of a call again, tile after tile, and how their scores move."""

    def __init__(self, problem: Problem, made: ForwardResult, along: Directions, *others: Tensor | None) -> None:
        """Find out how large scores can be and whether everything, `others` included, is finite."""
        self.problem, self._made, self._along = problem, made, along
        self.scale = problem.factor / LOG2_E
        self._reach = Reach.of(problem)
        tensors = (problem.value, *along, *others)
        self._is_careful = not (self._reach.is_finite and all(all_finite(x) for x in tensors if x is not None))

    def for_one_worker(self) -> tuple[Tiles, Scratch]:
        """Return what each worker has of its own."""
        return Tiles(self.problem), Scratch(self.problem.query.device)

    def parts(self, block: Block, tiles: Tiles, scratch: Scratch) -> Iterator[Part]:
        """Yield the tiles of a block in the order of the keys."""
        problem, made = self.problem, self._made
        found = tiles.of(block)
        if not found:
            return
        precision = self._reach.precision(block, found)
        query = scaled_query(problem, block, precision)
        kv = places(problem.kv_of[block.units])
        total = made.total[block]
        share = total.masked_fill(total == 0, 1.0).reciprocal()
        for tile in found:
            hidden = tile.hidden if self._is_careful else None
            scores = tile_scores(query, problem.key[kv, tile.columns], tile, scratch, self._is_careful)
            weights = exponentials(scores, made.shift[block].to(query.dtype), problem.query.dtype, scratch) * share
            keep = kept(problem, block, tile.columns, weights)
            factor = None if keep is None else keep / problem.kept_share
            moved = self._moved(block, tile, kv, weights)
            if hidden is not None:
                moved.masked_fill_(hidden, 0.0)
            yield Part(tile, kv, weights, weights if factor is None else weights * factor, factor, moved, hidden)

    def _moved(self, block: Block, tile: Tile, kv: slice | list[int], like: Tensor) -> Tensor:
        """Return Ṡ of a tile."""
        problem, along = self.problem, self._along
        moved = torch.zeros_like(like)
        for query, key in ((along.query, problem.key), (problem.query, along.key)):
            if query is not None and key is not None:
                moved.baddbmm_(query[block], expand_units(key[kv, tile.columns], len(like)).mT, alpha=self.scale)
        if along.bias is not None and problem.visible is not None:
            rows, columns = problem.visible.rows_of(block.rows), problem.visible.columns_of(tile.columns)
            own = along.bias.reshape(-1, *along.bias.shape[-2:])  # (*batch of its own, n_q, n_k) -> (masks, n_q, n_k)
            moved += own[:, rows, columns][problem.mask_of[block.units]]
        return moved


def tangent_pass(problem: Problem, made: ForwardResult, along: Directions, workers: int) -> Tangents:
    """Return how output and log-sum-exp move; `workers` is from `workers_for`."""
    replay = Replay(problem, made, along)
    tangents = Tangents(torch.zeros_like(made.output), torch.zeros_like(made.output[..., 0]))
    queue = iter(problem.blocks())
    own = [replay.for_one_worker() for _ in range(workers)]

    def run(worker: int, block: Block) -> None:
        output, logsumexp = tangents.output[block], tangents.logsumexp[block]
        for part in replay.parts(block, *own[worker]):
            moved = part.moved.mul_(part.weights)  # P ∘ Ṡ
            logsumexp.add_(moved.sum(-1))
            kept_moved = moved if part.factor is None else moved * part.factor
            add_product(output, kept_moved, problem.value[part.kv, part.tile.columns], part.hidden)
            if along.value is not None:
                add_product(output, part.kept, along.value[part.kv, part.tile.columns], part.hidden)
        output.sub_(made.output[block] * logsumexp[..., None])

    run_in_workers(run, [queue] * workers)
    return tangents


def second_pass(
    problem: Problem,
    made: ForwardResult,
    along: Directions,
    tangents: Tangents,
    upstream: Upstream,
    bias: Tensor | None,
    workers: int,
) -> Gradients:
    """Return the gradients of φ by query, key, value and floating mask.

    Args:
        problem: The call.
        made: What its forward pass left.
        along: X, Y, Z, W.
        tangents: What `tangent_pass` says about them.
        upstream: G and g.
        bias: The floating mask if its gradient is asked for.
        workers: From `workers_for`; 1 with a bias.
    """
    replay = Replay(problem, made, along, upstream.output)
    return sum_over_blocks(problem, bias, workers, lambda into: Second(replay, made, along, tangents, upstream, into))


@final
class Second:
    """What one worker needs to add the second derivatives of block after block."""

    def __init__(
        self,
        replay: Replay,
        made: ForwardResult,
        along: Directions,
        tangents: Tangents,
        upstream: Upstream,
        into: Gradients,
    ) -> None:
        """Keep what is common to the workers, and make what each has of its own."""
        self._replay, self._made, self._along = replay, made, along
        self._tangents, self._upstream, self._into = tangents, upstream, into
        self._own = replay.for_one_worker()

    def run(self, block: Block) -> None:
        """Add the second derivatives of what the block's queries take part in."""
        problem, scale = self._replay.problem, self._replay.scale
        grad_output, query = self._upstream.output[block], problem.query[block]
        for part in self._replay.parts(block, *self._own):
            by_moved, by_grad, by_scores = self._of_tile(block, part)
            kv, columns, hidden = part.kv, part.tile.columns, part.hidden
            add_product(self._into.query[block], by_scores, problem.key[kv, columns] * scale, hidden)
            add_for_keys(self._into.key, problem, block, part.tile, by_scores, query * scale, hidden)
            add_for_keys(self._into.value, problem, block, part.tile, by_grad, grad_output, hidden)
            if self._along.key is not None:
                add_product(self._into.query[block], by_moved, self._along.key[kv, columns] * scale, hidden)
            if self._along.query is not None:
                along = self._along.query[block] * scale
                add_for_keys(self._into.key, problem, block, part.tile, by_moved, along, hidden)
            if self._into.bias is not None:
                add_for_bias(self._into.bias, problem, block, part.tile, by_scores)

    def _of_tile(self, block: Block, part: Part) -> tuple[Tensor, Tensor, Tensor]:
        """Return T, R and M of a tile."""
        grad_output, g = self._upstream.output[block], self._upstream.logsumexp
        average = (grad_output * self._made.output[block]).sum(-1, keepdim=True)  # a
        beyond = -average if g is None else g[block][..., None] - average  # g - a
        moved = self._tangents.logsumexp[block][..., None]  # L̇
        h = (grad_output * self._tangents.output[block]).sum(-1, keepdim=True) + moved * beyond
        grad_weights = self._grad_weights(grad_output, self._replay.problem.value, part)  # D
        above = grad_weights + beyond
        by_scores = part.moved * above - moved * grad_weights - h
        if self._along.value is not None:
            by_scores += self._grad_weights(grad_output, self._along.value, part)  # E
        tile = (part.weights * above, part.kept * (part.moved - moved), part.weights * by_scores)
        if part.hidden is not None:
            for x in tile:
                x.masked_fill_(part.hidden, 0.0)
        return tile

    def _grad_weights(self, grad_output: Tensor, value: Tensor, part: Part) -> Tensor:
        """Return `grad_output @ valueᵀ` of a tile, with dropout."""
        value = expand_units(value[part.kv, part.tile.columns], len(grad_output))
        made = grad_output @ value.mT  # (u, r, v) @ (u, v, c) -> (u, r, c)
        return made if part.factor is None else made.mul_(part.factor)
