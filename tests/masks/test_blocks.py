"""A block is what the whole mask has there, its kind is exact, and nothing outside of it is ever written out."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attention_surgeon.masks import (
    Mask,
    TileKind,
    causal_mask,
    document_mask,
    padding_mask,
    prefix_mask,
    reverse_mask,
    tensor_mask,
    token_padding_mask,
    window_mask,
)
from tests.masks.probes import Recipe, random_cells, recipes


@st.composite
def block_of(draw: st.DrawFn, size: int) -> slice:
    """Draw a slice that begins among `size` positions; it may end after the last, count from the end, or be empty."""
    start = draw(st.integers(-size, max(size - 1, 0)) | st.none())
    stop = draw(st.integers(-size - 1, size + 3) | st.none())
    return slice(start, stop)


def kind_by_looking(cells: Tensor) -> str:
    if not cells.any():
        return "empty"
    return "full" if cells.all() else "mixed"


@settings(deadline=None, max_examples=400)
@given(st.data(), recipes())
def test_every_block_of_every_composition_is_exact(data: st.DataObject, recipe: Recipe):
    mask, cells = recipe()
    assert mask.shape == tuple(cells.shape)
    assert torch.equal(mask.dense(), cells)
    rows, columns = (data.draw(block_of(size)) for size in mask.shape[-2:])
    assert torch.equal(mask.tile(rows, columns), cells[..., rows, columns])
    kind = kind_by_looking(cells[..., rows, columns])
    assert mask.kind(rows, columns) == kind
    assert mask.bound(rows, columns) in (kind, TileKind.MIXED)


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 13), st.integers(1, 17), st.integers(1, 20), st.booleans())
def test_blocks_of_one_pattern_hold_the_same_cells(
    data: st.DataObject, n_q: int, n_k: int, size: int, is_causal: bool
) -> None:
    mask, seen = window_mask(n_q, n_k, size=size, is_causal=is_causal), {}
    for _ in range(12):
        rows, columns = data.draw(block_of(n_q)), data.draw(block_of(n_k))
        block = mask.tile(rows, columns)
        assert torch.equal(seen.setdefault(mask.pattern(rows, columns), block), block)


def test_a_pattern_comes_back_along_the_diagonal_of_bands_alone():
    first, later = (slice(0, 64), slice(32, 160)), (slice(640, 704), slice(672, 800))
    for mask in (causal_mask(1000), reverse_mask(1000), window_mask(1000, size=40)):
        assert mask.pattern(*first) == mask.pattern(*later) is not None
        assert mask.pattern(*first) != mask.pattern(later[0], first[1])
    for mask in (prefix_mask(1000, prefix_len=3), padding_mask([7], 1000), document_mask(torch.arange(1000))):
        assert mask.broadcast_to((1, 1000, 1000)).pattern(*first) is None


@settings(deadline=None, max_examples=50)
@given(recipes())
def test_blocks_of_three_cover_the_whole(recipe: Recipe):
    mask, cells = recipe()
    pieces = torch.zeros_like(cells)
    for q in range(0, mask.shape[-2], 3):
        for k in range(0, mask.shape[-1], 3):
            rows, columns = slice(q, q + 3), slice(k, k + 3)
            pieces[..., rows, columns] = mask.tile(rows, columns)
            assert mask.kind(rows, columns) == kind_by_looking(cells[..., rows, columns])
    assert torch.equal(pieces, cells)


class LargestTensor(TorchDispatchMode):
    """Remember the greatest number of cells that any operation returned; a view does not count."""

    cells = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and not func.is_view:
                self.cells = max(self.cells, tensor.numel())
        return result


N = 1_000_000
SEQUENCE = torch.arange(N) // 1000
HUGE: dict[str, Mask] = {
    "causal": causal_mask(N),
    "causal with a cache": causal_mask(N - 17, N),
    "reverse": reverse_mask(N),
    "window": window_mask(N, size=101),
    "prefix": prefix_mask(N, prefix_len=33),
    "padding": padding_mask([N - 5, 40], N).broadcast_to((2, N, N)),
    "tokens": token_padding_mask(SEQUENCE, 3).broadcast_to((N, N)),
    "documents": document_mask(SEQUENCE),
    "composed": ~(causal_mask(N) & document_mask(SEQUENCE) & padding_mask([N, 40], N)) | window_mask(N, size=3),
    "with heads": (causal_mask(N) & padding_mask([N, 40], N)).with_heads(),
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("start", [0, 64, 500_000])
def test_a_block_of_a_huge_mask_computes_only_itself(name: str, start: int):
    mask = HUGE[name]
    rows, columns = slice(start + 64, start + 128), slice(start + 32, start + 96)
    with LargestTensor() as largest:
        block = mask.tile(rows, columns)
        kind = mask.kind(rows, columns)
    assert kind == kind_by_looking(block)
    assert block.shape[-2:] == (64, 64)
    assert largest.cells <= block.numel()


def test_kinds_of_a_huge_causal_mask_are_decided_without_a_tensor():
    with LargestTensor() as largest:
        kinds = [causal_mask(N).kind(slice(640, 704), slice(k, k + 64)) for k in (577, 578, 640, 703, 704)]
    assert kinds == ["full", "mixed", "mixed", "mixed", "empty"]
    assert largest.cells == 0


def test_documents_that_lie_apart_are_decided_without_comparing_cells():
    mask = document_mask(torch.arange(8192) // 1000)
    with LargestTensor() as largest:
        assert mask.kind(slice(0, 1000), slice(4096, 8192)) is TileKind.EMPTY
    assert largest.cells == 0


def test_what_a_pair_surely_holds_is_said_without_its_cells():
    mask = document_mask(torch.arange(8192) // 1000) & causal_mask(8192)
    with LargestTensor() as largest:
        found = [mask.bound(slice(1500, 1600), slice(k, k + 100)) for k in (800, 950, 1200, 1500, 1600)]
    assert found == ["empty", "mixed", "full", "mixed", "empty"]
    assert largest.cells == 0


def test_a_tile_is_new_memory_so_writing_to_it_changes_no_mask():
    cells = random_cells(2, 5, 7, seed=1)
    for mask in (tensor_mask(cells), padding_mask([7, 3]), padding_mask([7, 3]).broadcast_to((2, 5, 7))):
        before = mask.dense()
        mask.dense().logical_not_()
        mask.tile(slice(0, 1), slice(0, 3)).logical_not_()
        assert torch.equal(mask.dense(), before)


def test_a_mask_keeps_its_own_copy_of_what_it_was_made_from():
    cells, tokens, ids = random_cells(5, 7, seed=1), torch.tensor([1, 0, 0]), torch.tensor([4, 4, 5])
    made = [tensor_mask(cells), token_padding_mask(tokens, 0), document_mask(ids), document_mask(ids, ids)]
    before = [mask.draw() for mask in made]
    for source in (cells, tokens, ids):
        source.zero_()
    assert [mask.draw() for mask in made] == before


def test_a_block_without_cells_is_empty():
    assert causal_mask(5).kind(slice(2, 2), slice(0, 5)) is TileKind.EMPTY
    assert causal_mask(5).kind(slice(3, 1), slice(0, 5)) is TileKind.EMPTY
    assert causal_mask(5).tile(slice(3, 1), slice(0, 2)).shape == (0, 2)
    assert (~padding_mask([0])).kind(slice(0, 1), slice(0, 0)) is TileKind.EMPTY


def test_a_block_lives_where_it_is_asked_for():
    for mask in (
        causal_mask(3),
        padding_mask([2, 3]),
        tensor_mask(torch.eye(3).bool()),
        document_mask(torch.arange(3)),
    ):
        whole = mask & causal_mask(3)
        assert whole.tile(slice(0, 2), slice(0, 3), device="meta").device.type == "meta"
        assert whole.dense(torch.device("meta")).shape == whole.shape
