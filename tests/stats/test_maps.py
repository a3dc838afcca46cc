"""Pooled maps: against sums by hand, at odd sizes, through windows, halves and files."""

import itertools
import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.errors import FileAccessError, FileFormatError
from attention_surgeon.stats import PooledMap, load_map, pool_weights


def pooled_by_hand(weights: torch.Tensor, rows: tuple[int, ...], columns: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    """Return the largest and the mean weight of each cell, one cell at a time."""
    grids = torch.empty(2, *weights.shape[:-2], len(rows) - 1, len(columns) - 1)
    for i, (top, bottom) in enumerate(itertools.pairwise(rows)):
        for j, (left, right) in enumerate(itertools.pairwise(columns)):
            cell = weights[..., top:bottom, left:right].double()
            grids[0, ..., i, j] = cell.amax((-2, -1)).float()
            grids[1, ..., i, j] = cell.mean((-2, -1)).float()
    return grids[0], grids[1]


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


@given(st.integers(1, 23), st.integers(1, 29), st.integers(1, 31), st.data())
def test_every_cell_of_every_window_is_the_maximum_and_the_mean(
    n_q: int, n_k: int, resolution: int, data: st.DataObject
):
    weights = drawn(2, n_q, n_k)
    top, left = data.draw(st.integers(0, n_q - 1)), data.draw(st.integers(0, n_k - 1))
    bottom, right = data.draw(st.integers(top + 1, n_q)), data.draw(st.integers(left + 1, n_k))
    pooled = pool_weights(weights, resolution=resolution, rows=slice(top, bottom), columns=slice(left, right))
    assert (pooled.rows, pooled.columns) == (range(top, bottom), range(left, right))
    assert max(pooled.mean.shape[-2:]) <= resolution
    largest, mean = pooled_by_hand(weights, pooled.row_edges, pooled.column_edges)
    assert torch.equal(pooled.largest, largest)
    torch.testing.assert_close(pooled.mean, mean, rtol=1e-6, atol=0)
    heights = {b - a for a, b in zip(pooled.row_edges[:-1], pooled.row_edges[1:-1], strict=False)}
    assert len(heights) <= 1, "all cells but the last have one height"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 17))
def test_a_level_of_the_pyramid_is_a_direct_pooling(n_q: int, n_k: int, resolution: int):
    weights = drawn(3, n_q, n_k)
    levels = pool_weights(weights, resolution=resolution).pyramid()
    assert levels[-1].mean.shape == (3, 1, 1)
    for level in levels:
        largest, mean = pooled_by_hand(weights, level.row_edges, level.column_edges)
        assert torch.equal(level.largest, largest)
        torch.testing.assert_close(level.mean, mean, rtol=1e-5, atol=1e-7)
    for fine, coarse in itertools.pairwise(levels):
        assert set(coarse.row_edges) <= set(fine.row_edges)
        assert coarse.mean.shape[-1] == -(-fine.mean.shape[-1] // 2)


def test_a_needle_stays_in_the_largest_and_sinks_in_the_mean():
    weights = torch.zeros(256, 256)
    weights[100, 7] = 0.9
    pooled = pool_weights(weights, resolution=2)
    assert pooled.largest[0, 0] == torch.tensor(0.9)
    assert pooled.mean[0, 0] == pytest.approx(0.9 / 128**2)


def test_a_map_comes_back_exactly(tmp_path: Path):
    pooled = pool_weights(drawn(2, 13, 17), resolution=5, rows=slice(3, 11), columns=slice(2, None))
    pooled.save(tmp_path / "a.map")
    loaded = load_map(str(tmp_path / "a.map"))
    assert torch.equal(loaded.largest, pooled.largest)
    assert torch.equal(loaded.mean, pooled.mean)
    numbers = ("row_edges", "column_edges", "num_queries", "num_keys")
    assert [getattr(loaded, name) for name in numbers] == [getattr(pooled, name) for name in numbers]
    assert loaded.select(1).mean.shape == pooled.mean.shape[1:]


def with_header(path: Path, change: object) -> None:
    """Write the map again with its header's description changed."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    about = json.loads(header["__metadata__"]["attention_surgeon_pooled_map"])
    header["__metadata__"]["attention_surgeon_pooled_map"] = change(about)  # type: ignore[operator]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: json.dumps({**about, "version": 2}), "of format version 2, this program reads up to 1"),
        (lambda about: json.dumps({**about, "version": "new"}), "does not say its version"),
        (lambda about: json.dumps({"version": 1}), "it has no 'row_edges'"),
        (lambda about: json.dumps({**about, "row_edges": [0, 4]}), "one cell between each two edges"),
        (lambda about: json.dumps({**about, "column_edges": [0, 3, 2]}), "expected at least 2 that increase"),
        (lambda about: json.dumps({**about, "row_edges": 3}), "damaged pooled map"),
        (lambda about: "{", "its description is no JSON"),
        (lambda about: "[1]", "does not say its version"),
    ],
)
def test_a_damaged_description_is_refused(change: object, message: str, tmp_path: Path):
    path = tmp_path / "a.map"
    pool_weights(torch.eye(4), resolution=2).save(path)
    with_header(path, change)
    with pytest.raises(FileFormatError, match=message):
        load_map(path)


def test_what_is_no_map_is_refused(tmp_path: Path):
    path = tmp_path / "a.map"
    with pytest.raises(FileAccessError, match="there is no such file"):
        load_map(path)
    with pytest.raises(FileAccessError, match="it is a folder"):
        load_map(tmp_path)
    path.write_text("not a map")
    with pytest.raises(FileFormatError, match="is no pooled map, or it was cut short or damaged"):
        load_map(path)
    pool_weights(torch.eye(4)).save(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FileFormatError, match="cut short"):
        load_map(path)


def test_areas_weigh_the_cells():
    pooled = pool_weights(torch.softmax(drawn(7, 11), -1), resolution=3)
    assert isinstance(pooled, PooledMap)
    torch.testing.assert_close((pooled.mean * pooled.areas).sum(), torch.tensor(7.0))
