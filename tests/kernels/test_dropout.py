"""Dropout: the share that is dropped, what it does to the sum, and the same draws forward and backward."""

import math

import pytest
import torch
from torch import Tensor

from attention_surgeon import masks
from attention_surgeon.kernels import tiled_attention
from tests.kernels.probes import D_K, HEADS, N_K, N_Q, Operands, assert_same, draw, operands, output_and_gradients

P = 0.3


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def factors(given: Operands) -> Tensor:
    """Return what each weight was multiplied by: with the identity as values, the output is the weights."""
    identity = torch.eye(given.key.shape[-2], dtype=given.key.dtype)
    dropped = tiled_attention(given.query, given.key, identity, dropout=P, generator=generator())
    return dropped / tiled_attention(given.query, given.key, identity)


def test_a_share_is_dropped_and_the_rest_enlarged(small_tiles: None) -> None:
    given = Operands(draw(7, 61, 5, seed=1), draw(7, 67, 5, seed=2), draw(7, 67, 3, seed=3))
    found = factors(given)
    is_kept = found > 0.5
    torch.testing.assert_close(found[is_kept], torch.full_like(found[is_kept], 1 / (1 - P)))
    assert not found[~is_kept].any()
    # Binomial: the share kept is within five standard deviations of 1 - p.
    assert abs(float(is_kept.double().mean()) - (1 - P)) < 5 * math.sqrt(P * (1 - P) / found.numel())


def test_tiles_and_heads_draw_apart(small_tiles: None) -> None:
    is_kept = factors(Operands(*(draw(3, 32, 5, seed=seed) for seed in range(3)))) > 0.5
    tiles = [part for head in is_kept for rows in head.split(4) for part in rows.split(8, dim=-1)]
    assert len({tuple(tile.flatten().tolist()) for tile in tiles}) == len(tiles)


def test_gradients_belong_to_what_was_drawn(small_tiles: None, three_workers: None) -> None:
    given, mask = operands(), masks.causal_mask(N_Q, N_K)
    factor = factors(given)

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q @ k.mT / math.sqrt(D_K)).masked_fill(~mask.dense(), -torch.inf)
        return torch.softmax(scores, -1) * factor @ v

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # The causal tiles must be cut like those of `factors`, for a tile draws by its place.
        return tiled_attention(q, k, v, mask.dense(), dropout=P, generator=generator())

    assert_same(output_and_gradients(ours, given), output_and_gradients(plain, given), 1e-12)


def test_the_same_seed_draws_the_same_with_any_number_of_workers(small_tiles: None, three_workers: None) -> None:
    given = operands()
    first, second = (tiled_attention(*given, dropout=P, generator=generator()) for _ in range(2))
    torch.set_num_threads(1)
    alone = tiled_attention(*given, dropout=P, generator=generator())
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone)


def test_without_a_generator_the_global_one_draws() -> None:
    given = operands()
    torch.manual_seed(3)
    first, second = (tiled_attention(*given, dropout=P) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(first, tiled_attention(*given, dropout=P))
    assert not torch.equal(first, second)


def test_no_dropout_draws_nothing() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    tiled_attention(*operands())
    assert torch.equal(torch.rand(1), expected)


def test_everything_dropped() -> None:
    output, *gradients = output_and_gradients(lambda q, k, v: tiled_attention(q, k, v, dropout=1.0), operands())
    assert not output.any()
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_the_logsumexp_is_that_of_all_weights(spread: float, small_tiles: None) -> None:
    given = operands(spread=spread)
    with_dropout = tiled_attention(*given, dropout=P, return_logsumexp=True)[1]
    assert with_dropout.shape == (*given.query.shape[:1], HEADS, N_Q)
    assert torch.equal(with_dropout, tiled_attention(*given, return_logsumexp=True)[1])


def test_float32_is_dropped_as_well():
    """What the compiled library cannot do is not done without: of values of 1, every output would be 1."""
    query, key = draw(2, 70, 16, seed=0, dtype=torch.float32), draw(2, 90, 16, seed=1, dtype=torch.float32)
    value = torch.ones(2, 90, 16, requires_grad=True)
    output = tiled_attention(query, key, value, dropout=0.5, generator=torch.Generator().manual_seed(2))
    assert float(output.detach().std()) > 0.05
    (grad,) = torch.autograd.grad(output.sum(), value)
    torch.testing.assert_close((grad * value.detach()).sum(), output.detach().sum())
