"""Statistics and maps of the library against those that PyTorch makes of the same tiles."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from attention_surgeon.compiled import computed_by_pytorch
from attention_surgeon.masks import Mask, causal_mask, document_mask, padding_mask, window_mask
from attention_surgeon.stats import HeadStatistics, scan_attention, scan_map
from attention_surgeon.stats.scan import compiled
from attention_surgeon.stats.scan.record import AttentionScan
from tests.compiled.conftest import Counting

SIZES = [(1, 1), (5, 9), (64, 64), (80, 128), (70, 130), (131, 257), (200, 150)]
"""Queries and keys: one, fewer than a block, whole blocks, ragged ones, and queries that stand before every key."""

MASKS = {
    "none": lambda n_q, n_k: None,
    "causal": causal_mask,
    "window": lambda n_q, n_k: window_mask(n_q, n_k, size=min(7, n_k)),
    "documents": lambda n_q, n_k: document_mask(torch.arange(n_q) // 9, torch.arange(n_k) // 11),
    "padding": lambda n_q, n_k: padding_mask([n_k, max(n_k - 5, 0)], n_k=n_k).with_heads(),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "a map of few cells": {"resolution": 7},
    "a map of four cells": {"resolution": 2},
    "no map": {"resolution": None},
    "own position only": {"window": 0, "threshold": 0.0},
    "far away": {"window": 20, "threshold": 0.2},
}


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def operands(n_q: int, n_k: int, size: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    return draw(2, 3, n_q, size, seed=0) * 1.5, draw(2, 3, n_k, size, seed=1), draw(2, 3, n_k, 20, seed=2)


def assert_same(found: AttentionScan, expected: AttentionScan) -> None:
    pairs = {
        field.name: (getattr(found.statistics, field.name), getattr(expected.statistics, field.name))
        for field in fields(HeadStatistics)
        if field.name != "options"
    }
    pairs["output_norm"] = found.output_norm, expected.output_norm
    pairs |= {f"error of {name}": (error, expected.errors[name]) for name, error in found.errors.items()}
    if found.map is not None and expected.map is not None:
        pairs["mean"] = found.map.mean, expected.map.mean
        pairs["largest"] = found.map.largest, expected.map.largest
    for name, (mine, theirs) in pairs.items():
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            torch.testing.assert_close(
                mine.double(),
                theirs.double(),
                rtol=2e-5,
                atol=1e-6,
                equal_nan=True,
                msg=lambda text, name=name: f"{name}: {text}",
            )


def both(*given: Any, **options: Any) -> tuple[AttentionScan, AttentionScan]:
    found = scan_attention(*given, **options)
    with computed_by_pytorch():
        return found, scan_attention(*given, **options)


TRIED = [
    (size, [*OPTIONS][(number + place) % len(OPTIONS)], mask)
    for number, size in enumerate(SIZES)
    for place, mask in enumerate(MASKS)
]
"""Every size with every mask, and every mask with every option."""


@pytest.mark.parametrize(("size", "option", "mask"), TRIED, ids=str)
def test_every_number_is_the_same(counted: Counting, size: tuple[int, int], option: str, mask: str) -> None:
    n_q, n_k = size
    query, key, value = operands(n_q, n_k)
    found, expected = both(query, key, value, MASKS[mask](n_q, n_k), **OPTIONS[option])
    assert_same(found, expected)
    assert counted.calls["attention_scan"] == 6
    assert not counted.refused["attention_scan"]


@pytest.mark.parametrize("mask", ["none", "causal", "window"])
@pytest.mark.parametrize(("n_q", "n_k"), [(70, 130), (131, 257), (200, 150)])
def test_repeated_tokens(counted: Counting, n_q: int, n_k: int, mask: str) -> None:
    query, key, _ = operands(n_q, n_k)
    tokens = torch.randint(5, (n_k,), generator=torch.Generator().manual_seed(3))
    for repeats in ({"tokens": tokens}, {"repeat_offset": 4}, {"repeat_offset": 2}):
        assert_same(*both(query, key, None, MASKS[mask](n_q, n_k), **repeats))
    assert counted.calls["attention_scan"] == 18


def test_a_sample_of_the_rows(counted: Counting) -> None:
    query, key, value = operands(900, 900)
    found, expected = both(query, key, value, causal_mask(900), num_rows=100, resolution=30)
    assert not found.is_exact
    assert_same(found, expected)
    assert counted.calls["attention_scan"]


def test_a_window_of_the_map(counted: Counting) -> None:
    query, key, _ = operands(300, 300)
    window = {"rows": slice(70, 200), "columns": slice(33, 290), "resolution": 50}
    found = scan_map(query, key, causal_mask(300), **window)
    with computed_by_pytorch():
        expected = scan_map(query, key, causal_mask(300), **window)
    torch.testing.assert_close(found.mean, expected.mean, rtol=2e-5, atol=1e-7)
    torch.testing.assert_close(found.largest, expected.largest, rtol=2e-5, atol=1e-7)
    assert counted.calls["attention_scan"] == 6


def test_portions_and_threads_change_nothing(counted: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = operands(600, 600)
    expected = scan_attention(query, key, value, causal_mask(600), resolution=40)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again = scan_attention(query, key, value, causal_mask(600), resolution=40)
        assert torch.equal(again.statistics.received, expected.statistics.received)
        assert torch.equal(again.statistics.entropy, expected.statistics.entropy)
        monkeypatch.setattr(compiled, "CELLS", 1)
        assert_same(scan_attention(query, key, value, causal_mask(600), resolution=40), expected)
    finally:
        torch.set_num_threads(before)
    assert counted.calls["attention_scan"] == 6 + 6 + 6 * 10


@pytest.mark.parametrize("mask", [None, causal_mask(150)], ids=["all", "causal"])
def test_large_scores_are_left_to_float64(counted: Counting, mask: Mask | None) -> None:
    """Some rows only: the library does the others."""
    query, key, value = operands(150, 150)
    query[..., 40:60, :] *= 100
    assert_same(*both(query, key, value, mask, resolution=10))
    assert counted.calls["attention_scan"]


def test_masks_that_are_not_one_run_are_left_to_pytorch(counted: Counting) -> None:
    query, key, value = operands(70, 70)
    for mask in (draw(70, 70, seed=4) > 0, draw(70, 70, seed=4), ~window_mask(70, size=3)):
        assert_same(*both(query, key, value, mask))
    assert not counted.calls["attention_scan"]


def test_a_mask_that_is_written_out_is_looked_through(counted: Counting) -> None:
    query, key, value = operands(70, 130)
    written_out = scan_attention(query, key, value, causal_mask(70, 130).dense())
    assert torch.equal(
        written_out.statistics.entropy, scan_attention(query, key, value, causal_mask(70, 130)).statistics.entropy
    )
    assert counted.calls["attention_scan"] == 12


def test_a_thread_may_scan_much_after_little_and_end(counted: Counting) -> None:
    """Memory is kept from call to call, and by each thread its own."""
    small, large = operands(9, 11), operands(300, 700)
    expected = [scan_attention(*given, resolution=40) for given in (small, large)]
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            for found, right in zip(
                pool.map(lambda given: scan_attention(*given, resolution=40), [small, large] * 4),
                expected * 4,
                strict=True,
            ):
                assert_same(found, right)
    assert counted.calls["attention_scan"]
    assert not counted.refused["attention_scan"]
