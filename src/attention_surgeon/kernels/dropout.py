"""Dropout of a tile: the same draws whenever the same tile is computed."""

import torch
from torch import Tensor

from attention_surgeon.kernels.problem import Block, Problem

_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_ALL_BITS = 2**64 - 1


def kept(problem: Problem, block: Block, columns: slice, like: Tensor) -> Tensor | None:
    """Return 1 where a weight is kept and 0 where it is dropped, `(u, r, c)`; None without dropout.

    A tile has a generator of its own, seeded by the call's seed and the tile's place, so neither the order in which
    tiles are computed nor the number of workers changes what is drawn.
    """
    if not problem.dropout:
        return None
    place = (block.units.start, block.rows.start, columns.start, columns.stop)
    generator = torch.Generator(like.device).manual_seed(_mixed(problem.seed, place))
    return torch.empty_like(like).bernoulli_(1 - problem.dropout, generator=generator)


def _mixed(seed: int, place: tuple[int, ...]) -> int:
    """Return a seed in which every bit depends on every number (the finisher of SplitMix64, Steele et al. 2014)."""
    state = seed
    for number in place:
        state = (state ^ number) + _MIX[0] & _ALL_BITS
        for shift, factor in ((30, _MIX[1]), (27, _MIX[2])):
            state = (state ^ state >> shift) * factor & _ALL_BITS
        state ^= state >> 31
    return state
