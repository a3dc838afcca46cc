"""The checks that every door shares: what fits is what PyTorch says fits."""

import itertools

import torch

from attention_surgeon.require import broadcast_shape

SHAPES = [shape for axes in range(4) for shape in itertools.product((0, 1, 2, 3), repeat=axes)]


def by_torch(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        return None


def test_shapes_broadcast_as_in_torch() -> None:
    pairs = itertools.product(SHAPES, SHAPES)
    triples = itertools.product(SHAPES[::7], SHAPES[::5], SHAPES[::3])
    wrong = [given for given in itertools.chain(pairs, triples) if broadcast_shape(*given) != by_torch(*given)]
    assert wrong == []
