"""Small tiles, so that small problems have many of them."""

from collections.abc import Iterator

import pytest
import torch

from attention_surgeon.kernels import forward, problem, scores, visible, workers


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into tiles of 4 queries and 8 keys, ask masks about 16, 8 and 2 keys at a time, and call 8 keys few."""
    monkeypatch.setattr(problem, "ROWS", 4)
    monkeypatch.setattr(problem, "WIDTH", 8)
    monkeypatch.setattr(scores, "FEW_KEYS", 8)
    monkeypatch.setattr(forward, "DIRECT_CELLS", 0)
    monkeypatch.setattr(visible.VisibleByMask, "grains", (16, 8, 2))
    monkeypatch.setattr(visible.VisibleByTensor, "grains", (8,))


@pytest.fixture
def three_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use three workers for the smallest problem."""
    monkeypatch.setattr(workers, "LEAST_CELLS", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
