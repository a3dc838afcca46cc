"""Converters: proved by what the other side does with the result, not by what its documentation says."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_surgeon.masks import (
    additive_to_mask,
    causal_mask,
    document_mask,
    mask_to_additive,
    mask_to_mha,
    mask_to_sdpa,
    mha_to_mask,
    padding_mask,
    sdpa_to_mask,
    tensor_mask,
)
from attention_surgeon.ops import attention, merge_heads, split_heads
from tests.masks.probes import random_cells

BATCH, HEADS, N_Q, N_K, HEAD_SIZE = 2, 3, 5, 7, 11
WIDTH = HEADS * HEAD_SIZE


def ragged(*batch: int, n_q: int = N_Q, seed: int = 1) -> Tensor:
    """Return cells in which row 0 sees everything and every row something: the other side has NaN for an empty row."""
    cells = random_cells(*batch, n_q, N_K, seed=seed)
    cells[..., 0, :] = True
    cells[..., 1] = True
    return cells


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def qkv() -> tuple[Tensor, Tensor, Tensor]:
    return (
        numbers(BATCH, HEADS, N_Q, HEAD_SIZE, seed=1),
        numbers(BATCH, HEADS, N_K, HEAD_SIZE, seed=2),
        numbers(BATCH, HEADS, N_K, 13, seed=3),
    )


SHAPES = [(), (HEADS,), (BATCH, 1), (BATCH, HEADS)]


@pytest.mark.parametrize("batch", SHAPES)
def test_sdpa_does_with_ours_what_attention_does(batch: tuple[int, ...]):
    query, key, value = qkv()
    cells = ragged(*batch)
    ours = attention(query, key, value, cells)[0]
    for mask in (cells, cells.to(torch.uint8), tensor_mask(cells)):
        for theirs in (mask_to_sdpa(mask), mask_to_additive(mask, torch.float64)):
            answer = F.scaled_dot_product_attention(query, key, value, attn_mask=theirs)
            assert torch.allclose(answer, ours, rtol=0, atol=1e-13)
            assert theirs.shape == cells.shape


@pytest.mark.parametrize("batch", SHAPES)
def test_attention_does_with_sdpas_what_sdpa_does(batch: tuple[int, ...]):
    query, key, value = qkv()
    boolean = ragged(*batch)
    floating = torch.zeros(boolean.shape, dtype=torch.float64).masked_fill(~boolean, -torch.inf)
    lowest = torch.zeros(boolean.shape, dtype=torch.float64).masked_fill(~boolean, torch.finfo(torch.float64).min)
    for theirs in (boolean, floating, lowest):
        answer = F.scaled_dot_product_attention(query, key, value, attn_mask=theirs)
        for back in (sdpa_to_mask, additive_to_mask) if theirs.is_floating_point() else (sdpa_to_mask,):
            assert torch.allclose(attention(query, key, value, back(theirs))[0], answer, rtol=0, atol=1e-13)


def multihead() -> nn.MultiheadAttention:
    torch.manual_seed(5)
    return nn.MultiheadAttention(WIDTH, HEADS, bias=False, batch_first=True, dtype=torch.float64)


def by_hand(layer: nn.MultiheadAttention, x: Tensor, y: Tensor, mask) -> Tensor:
    """Compute the layer's output with our attention and our mask."""
    weights = layer.in_proj_weight.chunk(3)
    query, key, value = (split_heads(z @ w.T, HEADS) for z, w in zip((x, y, y), weights, strict=True))
    return merge_heads(attention(query, key, value, mask)[0]) @ layer.out_proj.weight.T


X, Y = numbers(BATCH, N_Q, WIDTH, seed=11), numbers(BATCH, N_K, WIDTH, seed=12)


@pytest.mark.parametrize("batch", [(), (BATCH,), (BATCH, 1), (BATCH, HEADS)])
@pytest.mark.parametrize("as_object", [True, False])
def test_multihead_attention_does_with_ours_what_attention_does(batch: tuple[int, ...], as_object: bool):
    layer, cells = multihead(), ragged(*batch)
    theirs = mask_to_mha(tensor_mask(cells) if as_object else cells.long(), num_heads=HEADS if batch else None)
    answer = layer(X, Y, Y, attn_mask=theirs)[0]
    ours = cells[:, None] if batch == (BATCH,) else cells
    assert torch.allclose(by_hand(layer, X, Y, ours), answer, rtol=0, atol=1e-13)


def test_multihead_attention_hides_the_padding_that_ours_hides():
    layer, mask = multihead(), padding_mask([4, N_K])
    answer = layer(X, Y, Y, key_padding_mask=mask_to_mha(mask)[:, 0])[0]
    assert torch.allclose(by_hand(layer, X, Y, mask.with_heads()), answer, rtol=0, atol=1e-13)
    back = mha_to_mask(mask_to_mha(mask)[:, 0])[:, None, None, :]
    assert torch.allclose(by_hand(layer, X, Y, back), answer, rtol=0, atol=1e-13)
    everywhere = mask_to_mha((mask & causal_mask(N_Q, N_K)).with_heads(), num_heads=HEADS)
    both = layer(X, Y, Y, attn_mask=everywhere)[0]
    causal = mask_to_mha(causal_mask(N_Q, N_K))
    apart = layer(X, Y, Y, attn_mask=causal, key_padding_mask=mask_to_mha(mask)[:, 0])[0]
    assert torch.allclose(both, apart, rtol=0, atol=1e-13)


@pytest.mark.parametrize("batch", [(), (BATCH * HEADS,)])
def test_attention_does_with_multihead_attentions_what_that_does(batch: tuple[int, ...]):
    layer, hidden = multihead(), ~ragged(*batch)
    floating = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, -torch.inf)
    for theirs in (hidden, floating):
        answer = layer(X, Y, Y, attn_mask=theirs)[0]
        ours = mha_to_mask(theirs, num_heads=HEADS if batch else None)
        assert ours.shape == ((BATCH, HEADS, N_Q, N_K) if batch else (N_Q, N_K))
        assert torch.allclose(by_hand(layer, X, Y, ours), answer, rtol=0, atol=1e-13)


def test_a_transformer_layer_takes_ours_as_its_source_mask():
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 17, batch_first=True, dtype=torch.float64).eval()
    mask = causal_mask(N_K) & document_mask(torch.tensor([0, 0, 0, 1, 1, 2, 2]))
    hidden = mask_to_mha(mask)
    moved = Y.clone()
    moved[:, 5:] += 1.0
    before, after = layer(Y, src_mask=hidden), layer(moved, src_mask=hidden)
    assert torch.equal(before[:, :5], after[:, :5])
    moved = Y.clone()
    moved[:, 0] += 1.0
    changed = (layer(moved, src_mask=hidden) != before).any(-1).any(0)
    assert changed.tolist() == [True, True, True, False, False, False, False]


ROUND_TRIPS = {
    "sdpa": (mask_to_sdpa, sdpa_to_mask),
    "mha": (mask_to_mha, mha_to_mask),
    "additive": (mask_to_additive, additive_to_mask),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_there_and_back_is_the_same(name: str):
    there, back = ROUND_TRIPS[name]
    for cells in (
        random_cells(2, 3, 5, 7, seed=4),  # with rows that are empty
        torch.ones(1, 1).bool(),
        torch.zeros(5, 7).bool(),
        torch.ones(0, 7).bool(),
        random_cells(7, seed=5),
    ):
        assert torch.equal(back(there(cells)), cells)
        assert torch.equal(back(there(cells.int())), cells)
    mask = causal_mask(5) & padding_mask([2, 5])
    assert torch.equal(back(there(mask)), mask.dense())


def test_there_and_back_with_heads():
    cells = random_cells(BATCH, HEADS, N_Q, N_K, seed=4)
    assert torch.equal(mha_to_mask(mask_to_mha(cells, num_heads=HEADS), num_heads=HEADS), cells)
    one = mha_to_mask(mask_to_mha(cells[:, 0], num_heads=HEADS), num_heads=HEADS)
    assert torch.equal(one, cells[:, :1].expand(-1, HEADS, -1, -1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_additive_masks_of_every_precision(dtype: torch.dtype):
    cells = random_cells(5, 7, seed=6)
    additive = mask_to_additive(cells, dtype)
    assert additive.dtype == dtype
    assert set(additive.flatten().tolist()) == {0.0, -torch.inf}
    assert torch.equal(additive_to_mask(additive), cells)
    for lowest in (torch.finfo(dtype).min, max(torch.finfo(dtype).min, torch.finfo(torch.bfloat16).min)):
        filled = torch.zeros(5, 7, dtype=dtype).masked_fill(~cells, lowest)
        assert torch.equal(additive_to_mask(filled), cells)


def test_results_are_new_memory_and_live_where_asked():
    cells = random_cells(5, 7, seed=7)
    before = cells.clone()
    for convert in (mask_to_sdpa, mask_to_mha, mask_to_additive, sdpa_to_mask, mha_to_mask):
        convert(cells).zero_()
        assert torch.equal(cells, before)
    for convert in (mask_to_sdpa, mask_to_mha, mask_to_additive):
        assert convert(cells, device="meta").device.type == "meta"
        assert convert(causal_mask(3), device="meta").device.type == "meta"
        assert convert(causal_mask(3)).device.type == "cpu"
