"""The same masks as PyTorch's own, cell by cell and in what attention does with them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import create_mask

from attention_surgeon import masks, ops
from attention_surgeon.errors import MaskError
from attention_surgeon.masks import (
    causal_mask,
    create_causal_mask,
    create_reverse_mask,
    document_mask,
    padding_mask,
    prefix_mask,
    reverse_mask,
    window_mask,
)
from tests.masks.probes import random_cells

BATCH, HEADS, N_Q, N_K, D_K, D_V = 2, 3, 5, 7, 11, 13
SIZES = [(N_Q, N_K), (N_K, N_Q), (N_Q, N_Q), (1, 1), (1, N_K), (N_Q, 1)]


def qkv(n_q: int = N_Q, n_k: int = N_K) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    shapes = [(BATCH, HEADS, n_q, D_K), (BATCH, HEADS, n_k, D_K), (BATCH, HEADS, n_k, D_V)]
    query, key, value = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return query, key, value


@pytest.mark.parametrize(("n_q", "n_k"), SIZES)
def test_causal_and_reverse_are_triangles(n_q: int, n_k: int):
    ones = torch.ones(n_q, n_k).bool()
    assert torch.equal(causal_mask(n_q, n_k, "start").dense(), ones.tril())
    assert torch.equal(causal_mask(n_q, n_k).dense(), ones.tril(n_k - n_q))
    assert torch.equal(reverse_mask(n_q, n_k, "start").dense(), ones.triu())
    assert torch.equal(reverse_mask(n_q, n_k).dense(), ones.triu(n_k - n_q))


def test_the_reverse_mask_is_the_causal_one_transposed():
    assert torch.equal(reverse_mask(5).dense(), causal_mask(5).dense().T)


@pytest.mark.parametrize(("n_q", "n_k"), SIZES)
def test_alignment_is_that_of_the_functions_the_documentation_names(n_q: int, n_k: int):
    query, key, value = qkv(n_q, n_k)
    at_start = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert torch.allclose(ops.attention(query, key, value, causal_mask(n_q, n_k, "start"))[0], at_start, atol=1e-13)
    if 1 < n_q <= n_k:  # PyTorch's class refuses a single query and warns where queries outnumber keys
        at_end = F.scaled_dot_product_attention(query, key, value, attn_mask=causal_lower_right(n_q, n_k))
        assert torch.allclose(ops.attention(query, key, value, causal_mask(n_q, n_k))[0], at_end, atol=1e-13)


def test_windows_prefixes_and_documents_are_those_of_flex_attention():
    ids = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    mods = {
        window_mask(7, size=3): lambda b, h, q, k: (q >= k) & (q - k < 3),
        window_mask(7, size=3, is_causal=False): lambda b, h, q, k: (q - k).abs() < 3,
        prefix_mask(7, prefix_len=4): lambda b, h, q, k: (k < 4) | (q >= k),
        causal_mask(7) & document_mask(ids): lambda b, h, q, k: (q >= k) & (ids[q] == ids[k]),
    }
    for mask, mod in mods.items():
        assert torch.equal(mask.dense(), create_mask(mod, None, None, 7, 7, device="cpu")[0, 0])


def test_the_seeds_are_minus_infinity_beside_the_triangle():
    assert torch.equal(create_causal_mask(7), nn.Transformer.generate_square_subsequent_mask(7))
    assert torch.equal(create_reverse_mask(7), create_causal_mask(7).T)
    assert create_causal_mask(3).tolist() == [[0, -torch.inf, -torch.inf], [0, 0, -torch.inf], [0, 0, 0]]
    assert create_reverse_mask(3).tolist() == [[0, 0, 0], [-torch.inf, 0, 0], [-torch.inf, -torch.inf, 0]]
    for create in (create_causal_mask, create_reverse_mask):
        assert create(3).dtype == torch.float32
        assert create(1).tolist() == [[0]]
        assert create(0).shape == (0, 0)
        assert create(3, device="meta").device.type == "meta"
        assert create(seq_len=3, device=torch.device("cpu")).shape == (3, 3)


def test_attention_takes_every_kind_of_mask_and_the_seeds():
    query, key, value = qkv(N_K, N_K)
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    for mask in (causal_mask(N_K), create_causal_mask(N_K), causal_mask(N_K).dense(), causal_mask(N_K).with_heads()):
        assert torch.allclose(ops.attention(query, key, value, mask)[0], expected, rtol=0, atol=1e-13)


def test_a_padded_batch_with_heads_gives_each_sequence_what_it_gets_alone():
    query, key, value = qkv()
    lengths = [N_K, 3]
    output, weights = ops.attention(query, key, value, padding_mask(lengths).with_heads())
    for i, length in enumerate(lengths):
        alone, alone_weights = ops.attention(query[i], key[i, :, :length], value[i, :, :length])
        assert torch.allclose(output[i], alone, rtol=0, atol=1e-14)
        assert torch.allclose(weights[i, ..., :length], alone_weights, rtol=0, atol=1e-14)
        assert (weights[i, ..., length:] == 0).all()


NUMBERS = [0.0, -torch.inf, -1e9, -65504.0, 0.5, 1.0, torch.nan, torch.inf]
LOWEST = {dtype: torch.finfo(dtype).min for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(list(LOWEST)),
    st.lists(st.sampled_from([*NUMBERS, *LOWEST.values()]), min_size=1, max_size=4),
)
def test_floating_masks_are_read_as_attention_reads_them(dtype: torch.dtype, numbers: list[float]):
    tensor = torch.tensor([numbers], dtype=torch.float64).to(dtype)
    shape, device = tuple(tensor.shape), torch.device("cpu")
    try:
        allowed, bias = ops.resolve_mask(tensor, shape, device=device, dtype=torch.float64)
    except MaskError:
        with pytest.raises(MaskError):
            masks.draw_mask(tensor)
        with pytest.raises(MaskError):
            masks.additive_to_mask(tensor)
        return
    assert allowed is not None
    assert bias is not None
    assert masks.draw_mask(tensor) == masks.draw_mask(allowed)
    if bias.any():
        with pytest.raises(MaskError, match="so it is a bias"):
            masks.additive_to_mask(tensor)
    else:
        assert torch.equal(masks.additive_to_mask(tensor), allowed)


def test_random_masks_reach_attention_unchanged():
    query, key, value = qkv()
    cells = random_cells(BATCH, HEADS, N_Q, N_K, seed=3)
    assert torch.equal(
        ops.attention(query, key, value, masks.tensor_mask(cells))[0], ops.attention(query, key, value, cells)[0]
    )
