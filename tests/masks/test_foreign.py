"""Masks of PyTorch's own kinds, taken as the masks they are by every door; other subclasses of tensors are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.nn.functional import scaled_dot_product_attention as stock

from attention_surgeon import masks
from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks.foreign import FlexMask, known_mask
from attention_surgeon.nn import MultiHeadAttention, MultiheadAttention, scaled_dot_product_attention
from attention_surgeon.ops import attention

DOORS: dict[str, Callable[..., Tensor]] = {
    "attention": lambda q, k, v, mask: attention(q, k, v, mask)[0],
    "tiled_attention": tiled_attention,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
LAYER, DROP_IN = MultiHeadAttention(6, 2, dropout=0.0), MultiheadAttention(6, 2, batch_first=True)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("make", [causal_lower_right, causal_upper_left])
@pytest.mark.parametrize("sizes", [(4, 7), (5, 5), (3, 11)])
def test_no_future_leaks_through_a_causal_bias(door: str, make: Callable[..., Any], sizes: tuple[int, int]) -> None:
    n_q, n_k = sizes
    query, key, value = draw(2, 3, n_q, 5), draw(2, 3, n_k, 5), draw(2, 3, n_k, 7)
    torch.testing.assert_close(DOORS[door](query, key, value, make(*sizes)), stock(query, key, value, make(*sizes)))


def test_a_causal_bias_in_layers_and_converters() -> None:
    x, bias = draw(2, 5, 6), causal_upper_left(5, 5)
    causal = masks.causal_mask(5)
    for options in ({}, {"implementation": "tiled"}):
        torch.testing.assert_close(LAYER(x, bias, **options), LAYER(x, causal, **options))
    hidden = ~causal.dense()
    torch.testing.assert_close(DROP_IN(x, x, x, attn_mask=bias)[0], DROP_IN(x, x, x, attn_mask=hidden)[0])
    assert masks.draw_mask(causal_lower_right(2, 3)) == "xx.\nxxx"
    assert torch.equal(masks.sdpa_to_mask(bias), causal.dense())
    assert torch.equal(masks.mask_to_sdpa(bias), causal.dense())


def test_a_causal_bias_excludes_is_causal() -> None:
    x = draw(1, 4, 3)
    with pytest.raises(OptionError, match="CausalBias should not be used with causal=True"):
        scaled_dot_product_attention(x, x, x, causal_upper_left(4, 4), is_causal=True)


@pytest.mark.parametrize("batch", [(1, 1), (2, 1), (2, 3)])
def test_a_block_mask(batch: tuple[int, int], own_messages: None) -> None:
    from torch.nn.attention.flex_attention import create_block_mask

    ids = torch.arange(300) // 70

    rule = lambda b, h, q, k: (ids[q] == ids[k]) & (q >= k + b + h)  # noqa: E731 - torch counts its arguments
    block_mask = create_block_mask(rule, *batch, 300, 300, device="cpu")
    dense = rule(*torch.meshgrid(*(torch.arange(n) for n in (*batch, 300, 300)), indexing="ij"))
    known = known_mask(block_mask, "example")
    assert isinstance(known, FlexMask)
    assert torch.equal(known.dense().expand(dense.shape), dense)
    for start in range(0, 300, 60):  # whole blocks of it, and parts
        rows, columns = slice(start, start + 50), slice(128, 256)
        kind = known.kind(rows, columns)
        cells = known.tile(rows, columns)
        assert (kind is masks.TileKind.EMPTY) == (not cells.any())
        assert (kind is masks.TileKind.FULL) == bool(cells.all())
    query = draw(2, 3, 300, 4)
    expected = attention(query, query, query, dense)[0]
    for door in DOORS.values():
        torch.testing.assert_close(door(query, query, query, block_mask), expected)


def test_a_block_mask_that_lists_blocks_only(own_messages: None) -> None:
    """Without a rule of its own, every key of a listed block may be attended to, and no key of another."""
    from torch.nn.attention.flex_attention import BlockMask

    counts, indices = torch.tensor([[[1, 2]]], dtype=torch.int32), torch.tensor([[[[1, 0], [1, 0]]]], dtype=torch.int32)
    listed = BlockMask.from_kv_blocks(counts, indices, BLOCK_SIZE=2, seq_lengths=(4, 3))
    assert masks.draw_mask(listed) == "..x\n..x\nxxx\nxxx"


class Unknown(torch.Tensor):
    """A tensor whose numbers need not be the mask."""


REFUSING: dict[str, Callable[[Tensor], object]] = {
    **{name: (lambda mask, door=door: door(*[draw(5, 6)] * 3, mask)) for name, door in DOORS.items()},
    "MultiHeadAttention": lambda mask: LAYER(draw(2, 5, 6), mask),
    "MultiheadAttention": lambda mask: DROP_IN(*[draw(2, 5, 6)] * 3, attn_mask=mask),
    "key_padding_mask": lambda mask: DROP_IN(*[draw(2, 5, 6)] * 3, key_padding_mask=mask[:2]),
    "draw_mask": masks.draw_mask,
    "tensor_mask": masks.tensor_mask,
    "sdpa_to_mask": masks.sdpa_to_mask,
    "mha_to_mask": masks.mha_to_mask,
    "mask_to_mha": masks.mask_to_mha,
    "&": lambda mask: masks.causal_mask(5) & mask,
}


@pytest.mark.parametrize("name", REFUSING)
def test_a_subclass_that_nobody_knows_is_refused(name: str) -> None:
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    with pytest.raises(ArgumentTypeError, match=r"is a Unknown, a subclass of torch\.Tensor whose numbers need not be"):
        REFUSING[name](mask.as_subclass(Unknown))
    REFUSING[name](torch.nn.Parameter(mask, requires_grad=False))  # a parameter is plain
