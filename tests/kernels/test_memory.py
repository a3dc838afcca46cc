"""Memory is counted, not timed: every tensor that is made while a call runs, as long as it lives."""

import weakref
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attention_surgeon import masks
from attention_surgeon.kernels import forward, tiled_attention
from attention_surgeon.masks import Mask
from attention_surgeon.threads import one_thread

pytestmark = pytest.mark.usefixtures("computed_by")


class BytesAlive(TorchDispatchMode):
    """Keeps count of the bytes of all storages made, and of the most that lived at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        made = func(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, torch.Tensor):
                self._count(x.untyped_storage(), given)
        return made

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        at = storage._cdata
        if at in self._known or id(storage) in given:
            return
        self._known.add(at)
        self.alive += storage.nbytes()
        self.most = max(self.most, self.alive)
        weakref.finalize(storage, self._forget, at, storage.nbytes())

    def _forget(self, at: int, size: int) -> None:
        self._known.discard(at)
        self.alive -= size


def peak(n: int, mask: Mask | None, *, backward: bool) -> int:
    query, key, value = (torch.zeros(n, 4, requires_grad=backward) for _ in range(3))
    with one_thread(), BytesAlive() as counted:
        output = tiled_attention(query, key, value, mask)
        if backward:
            output.sum().backward()
    return counted.most


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_memory_grows_with_n(backward: bool, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one n to the next, twice as large, the memory that is added doubles; that of n x n cells would quadruple."""
    monkeypatch.setattr(forward, "DIRECT_CELLS", 0)  # what is made at once is bounded by a constant
    peaks = [peak(n, masks.causal_mask(n) if masked else None, backward=backward) for n in (1024, 2048, 4096)]
    assert peaks[2] - peaks[1] <= 2.2 * (peaks[1] - peaks[0])
    assert peaks[2] < 4096 * 4096 / 4, "a quarter of a byte for each pair of query and key"
